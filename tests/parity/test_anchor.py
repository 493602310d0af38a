"""The published INSTRUCTOR-large against the similarities in the sentence-transformers documentation.

Source: "Pretrained Models", section on INSTRUCTOR models (docs/sentence_transformer/pretrained_models.md), which prints
the three cosines with four digits.
"""

from __future__ import annotations

import numpy as np
import pytest

from one_embedder.embedding.embedder import InstructionEmbedder

QUERY = "where is the food stored in a yam plant"
DOCUMENTS = [
    "Yams are perennial herbaceous vines native to Africa, Asia, and the Americas and cultivated for the consumption "
    "of their starchy tubers in many temperate and tropical regions. The tubers themselves, also called "
    '"yams", come in a variety of forms owing to numerous cultivars and related species.',
    "The disparate impact theory is especially controversial under the Fair Housing Act because the Act regulates many "
    "activities relating to housing, insurance, and mortgage loans—and some scholars have argued that the theory's use "
    "under the Fair Housing Act, combined with extensions of the Community Reinvestment Act, contributed to rise of "
    "sub-prime lending and the crash of the U.S. housing market and ensuing global economic recession",
    "Disparate impact in United States labor law refers to practices in employment, housing, and other areas that "
    "adversely affect one group of people of a protected characteristic more than another, even though rules applied "
    "by employers or landlords are formally neutral. Although the protected classes vary by statute, most federal "
    "civil rights laws protect based on race, color, religion, national origin, and sex as protected traits, and some "
    "laws include disability status and other traits as well.",
]
SIMILARITIES = [0.8835, 0.7037, 0.6970]


@pytest.mark.network
def test_instructor_large_gives_the_documented_similarities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # the suite is offline but for this marker
    embedder = InstructionEmbedder("hkunlp/instructor-large", device="cpu")
    query = embedder.encode(QUERY, "Represent the Wikipedia question for retrieving supporting documents: ")
    documents = embedder.encode(DOCUMENTS, "Represent the Wikipedia document for retrieval: ")
    np.testing.assert_allclose(embedder.similarity(query, documents)[0], SIMILARITIES, atol=2e-4)
