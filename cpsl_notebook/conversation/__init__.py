"""The conversations of a notebook, and sending prompts in them."""
