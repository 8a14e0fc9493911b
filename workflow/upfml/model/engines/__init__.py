"""Inference engines: what each writes for a forest (at `convert`) and how it gets into the kernel (at load).

Their C is in bpf/engines. Each has `infer`, which the classifier goes on to with the features in its scratchpad. Their
modules have `defines`, of a converted forest's facts (parts.json), and `load`, of its module, folder and facts.
"""

ENGINES = ("tailcall", "inline", "table")
