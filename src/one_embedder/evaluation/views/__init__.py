"""One text, many purposes: how far the instruction decides what an embedding tells about its text.

``plan`` says which view sets are scored and with which instructions, ``cells`` scores one embedding against one
labeling, ``steering`` compares the instructions of a set, ``results`` keeps what was found, and ``run`` does it all.
"""
