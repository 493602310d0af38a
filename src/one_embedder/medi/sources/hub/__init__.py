"""The thirty data sets of MEDI that are not Super-NaturalInstructions, from the Hugging Face hub.

``conf/medi/full.yaml`` lists them; ``build.py`` is where reading begins.
"""
