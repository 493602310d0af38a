"""Super-NaturalInstructions as training data: the 300 of MEDI's 330 tasks whose construction was never released.

``tasks`` reads a checkout or a compact copy and decides by which of the paper's rules a task is mined, ``instructions``
says what each task's texts are joined with. ``one_embedder.medi.sources.mixture`` puts the rows together.
"""
