"""Small Parquet and zstd files made by pyarrow and zstandard: `python tools/golden/containers.py test/fixtures/data`.

The texts are `row N: ` and the number repeated, so that a test can say them again. Made with Python 3.11, pyarrow 26.0.1 and
zstandard 0.25.0.
"""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

ROWS = 300


def text(row: int) -> str:
    return f'row {row}: ' + f'{row} \u00fc\U0001f600 ' * (row % 7)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [text(row) for row in range(ROWS)]
    meta = pa.array([{'id': row, 'tags': ['a', 'b'][: row % 3]} for row in range(ROWS)])
    table = pa.table({'meta': meta, 'text': rows, 'count': list(range(ROWS))})
    for compression in ('snappy', 'zstd', 'gzip'):
        pq.write_table(table, folder / f'rows-{compression}.parquet', compression=compression, row_group_size=97)
    lines = ''.join(json.dumps({'text': row}) + '\n' for row in rows).encode()
    # Two frames: what `cat a.zst b.zst` gives.
    half = lines.index(b'\n', len(lines) // 2) + 1
    frames = [zstandard.ZstdCompressor(level=3).compress(part) for part in (lines[:half], lines[half:])]
    (folder / 'rows.jsonl.zst').write_bytes(b''.join(frames))


main(Path(sys.argv[1]))
