"""MEDI-documentation and its benchmark: English that every installation holds, read from source files.

``packages`` says what is read and on which side it stands; ``extract`` turns source files into ``DocObject``s;
``training_tasks`` and ``benchmark`` turn those into training pairs and evaluation tasks.
"""
