"""Answers callers that must wait for a decision, over HTTP."""
