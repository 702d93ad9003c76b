"""From a score to an action: policy, the life of an alert, and its words."""
