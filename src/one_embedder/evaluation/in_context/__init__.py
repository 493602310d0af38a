"""In-context learning for prompt retrieval: examples, their selection, prompts, and the learners that answer them."""
