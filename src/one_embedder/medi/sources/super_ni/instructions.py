"""What the texts of a Super-NaturalInstructions task are joined with: one written rule, and a table of exceptions.

The rule reads the task's own description. Its first domain gives the domain ("Reviews -> Movies": "movie review"), its
first category the kind of text and the objective ("Sentiment Analysis": "text", "sentiment classification"). The texts
on both sides of a row are inputs of the same task, so they share the instruction (paper, section 2.3: symmetric tasks).
"""

from __future__ import annotations

from collections.abc import Mapping

from one_embedder.errors import ConfigError
from one_embedder.instructions.template import Instruction
from one_embedder.medi.sources.super_ni.tasks import SuperNiTask

# The last part of a domain -> its words before a text type. Those that are not here are written in lower case.
DOMAINS: Mapping[str, str | None] = {
    "": None,
    "Miscellaneous": None,
    "Animals": "animal",
    "Books": "book",
    "Captions": "caption",
    "Concepts and Relations": "commonsense",
    "Countries": "geography",
    "Debatepedia": "debate",
    "Fiction": "fiction",
    "Food": "food",
    "Freebase": "Freebase",
    "Image Caption": "image caption",
    "Image Captions": "image caption",
    "Movies": "movie",
    "Personal Narratives": "personal narrative",
    "Physical Commonsense": "commonsense",
    "Professions": "profession",
    "Public Places": "travel",
    "Reddit": "Reddit",
    "Restaurants": "restaurant",
    "Reviews": "review",
    "School Science Textbooks": "science textbook",
    "Scientific Research Papers": "scientific",
    "Social Commonsense": "social commonsense",
    "Stereotypes": "stereotype",
    "Stories": "story",
    "Text Message": "text message",
    "Twitter": "Twitter",
    "Video Captions": "video caption",
    "Wikidata": "Wikidata",
    "Wikipedia": "Wikipedia",
}

# Category -> (kind of text, objective). A category that is not here is its own objective, in lower case.
CATEGORIES: Mapping[str, tuple[str, str]] = {
    "Answer Verification": ("question and answer", "answer verification"),
    "Answerability Classification": ("question", "answerability classification"),
    "Cause Effect Classification": ("statement", "cause and effect classification"),
    "Coherence Classification": ("text", "coherence classification"),
    "Commonsense Classification": ("statement", "commonsense classification"),
    "Dialogue Generation": ("utterance", "generating the response"),
    "Dialogue State Tracking": ("dialogue", "dialogue state tracking"),
    "Discourse Connective Identification": ("text", "identifying the discourse connective"),
    "Entity Generation": ("text", "generating entities"),
    "Explanation": ("text", "generating explanations"),
    "Fact Verification": ("claim", "fact verification"),
    "Fill in The Blank": ("text", "filling in the blank"),
    "Gender Classification": ("sentence", "gender classification"),
    "Grammar Error Correction": ("sentence", "grammar error correction"),
    "Grammar Error Detection": ("sentence", "grammar error detection"),
    "Information Extraction": ("text", "information extraction"),
    "Intent Identification": ("utterance", "intent classification"),
    "Irony Detection": ("tweet", "irony detection"),
    "Linguistic Probing": ("sentence", "linguistic probing"),
    "Misc.": ("text", "answering"),
    "Named Entity Recognition": ("text", "named entity recognition"),
    "Negotiation Strategy Detection": ("utterance", "negotiation strategy classification"),
    "Paraphrasing": ("sentence", "paraphrasing"),
    "Poem Generation": ("text", "generating poems"),
    "Preposition Prediction": ("sentence", "preposition prediction"),
    "Program Execution": ("list", "program execution"),
    "Punctuation Error Detection": ("sentence", "punctuation error detection"),
    "Question Answering": ("question", "question answering"),
    "Question Decomposition": ("question", "question decomposition"),
    "Question Generation": ("text", "question generation"),
    "Question Understanding": ("question", "question type classification"),
    "Sentence Composition": ("text", "sentence composition"),
    "Sentence Compression": ("sentence", "compression"),
    "Sentence Expansion": ("sentence", "expansion"),
    "Sentence Ordering": ("text", "sentence ordering"),
    "Sentence Perturbation": ("sentence", "perturbation"),
    "Sentiment Analysis": ("text", "sentiment classification"),
    "Spam Classification": ("message", "spam detection"),
    "Speaker Identification": ("dialogue", "speaker identification"),
    "Speaker Relation Classification": ("dialogue", "speaker relation classification"),
    "Spelling Error Detection": ("sentence", "spelling error detection"),
    "Stance Detection": ("argument", "stance classification"),
    "Stereotype Detection": ("sentence", "stereotype classification"),
    "Story Composition": ("text", "story composition"),
    "Style Transfer": ("sentence", "style transfer"),
    "Summarization": ("text", "summarization"),
    "Text Categorization": ("text", "topic classification"),
    "Text Completion": ("text", "completion"),
    "Text Matching": ("pair of texts", "text matching"),
    "Text Quality Evaluation": ("text", "quality evaluation"),
    "Text Simplification": ("sentence", "simplification"),
    "Text to Code": ("text", "generating code"),
    "Toxic Language Detection": ("comment", "toxicity classification"),
    "Word Relation Classification": ("word pair", "word relation classification"),
    "Word Semantics": ("word", "word semantics"),
    "Wrong Candidate Generation": ("text", "generating wrong answers"),
}


def instruction_of(task: SuperNiTask, written: Mapping[str, Mapping[str, str]]) -> Instruction:
    """The instruction of a task: the written one if there is one, else the rule's.

    Args:
        task: the task.
        written: task name -> parts of ``Instruction``.

    Raises:
        ConfigError: if a written one has other parts, or lacks its text type.
    """
    if task.name not in written:
        return _by_rule(task.domain, task.category)
    try:
        return Instruction(**written[task.name])
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"medi.instructions.{task.name}: {error}; write text_type and, as needed, domain and objective"
        ) from error


def _by_rule(domain: str, category: str) -> Instruction:
    text_type, objective = CATEGORIES.get(category, ("text", category.lower().rstrip(".")))
    last = domain.split(" -> ")[-1]
    words = DOMAINS.get(last, last.lower())
    if words is not None and ({*words.lower().split()} & {*text_type.split(), *objective.split()[:1]}):
        words = None  # "dialogue dialogue", "commonsense statement for commonsense classification"
    return Instruction(text_type, words, objective)
