"""The signals of the default detector: each looks at one value for one kind of anomaly.

A signal is a small structure of plain numbers, so that writing it as MessagePack is its snapshot. ``process_one``
returns how odd a value is before it learns it: a p-value, 1 while the signal does not know.
"""
