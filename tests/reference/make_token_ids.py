"""Write `token_ids.jsonl.gz`: for each line of `texts.jsonl.gz` its token ids by the `tokenizers` package.

    python make_token_ids.py

The tokenizer is `models/reviews/tokenizer.json`; special tokens are included and nothing is cut.
"""

from tokenizers import Tokenizer

from common import BUILT_IN, HERE, read_lines, record, write_lines


def main() -> None:
    """Write the file."""
    tokenizer = Tokenizer.from_file(str(BUILT_IN / "tokenizer.json"))
    texts = read_lines(HERE / "texts.jsonl.gz")
    write_lines(HERE / "token_ids.jsonl.gz", [encoding.ids for encoding in tokenizer.encode_batch(texts)])
    record("tokenizers")


if __name__ == "__main__":
    main()
