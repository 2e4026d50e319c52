"""Inputs that somebody else made, tried by the million.

    __main__      one target after the other, each in a process of its own
      ├─ session  the fuzzer in that process: atheris, guided by the lines it reaches
      │    ├─ json_mutation   a document → another one
      │    └─ targets         what must hold for an input of any bytes
      └─ last_input    the input that is being tried, as it survives the process

`corpus/<target>/` holds the inputs that are worth keeping, `words/` what a
fuzzer would not guess. `tests/test_fuzz_corpus.py` tries the corpus with every
other test, without atheris.

    python -m tests.fuzz                             every target, 60 s each
    python -m tests.fuzz summary -max_total_time=600  one of them; flags are libFuzzer's
    python -m tests.fuzz --keep                      put what was found into the corpus

What a run finds lies in `.fuzz/<target>/`; an input that broke the store in
`.fuzz/broken-<target>-…`. Copied into the corpus, it is a test that fails until the
store is mended.
"""
