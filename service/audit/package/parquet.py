"""How does a part of a package become a Parquet file?

One row an entry: what the CSV shows, and the exact contents of the opened blocks as JSON. Row group
by row group, so memory does not grow. Invariant: a column has one type in all packages; what is
withheld is null in its column and named in `withheld`.
"""

from __future__ import annotations

from typing import Any

from service.audit.package.disclosing import Shown
from service.audit.package.members import MemberFile
from service.audit.package.verify import BLOCKS, seconds_of

ROW_GROUP = 5_000
VERSIONS = ("rule_set", "bundle", "catalog", "policy", "code")


class _Open:
    """A member as Arrow writes into it, which would close it."""

    closed = False

    def __init__(self, file: MemberFile) -> None:
        self.write, self.tell, self.flush = file.write, file.tell, file.flush

    def close(self) -> None:
        self.closed = True


class ParquetPart:
    """Writes one Parquet member."""

    def __init__(self, file: MemberFile) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        texts = ("type", "entry", "log", "writer", "outcome", "withheld", *BLOCKS)
        types = {
            "idx": pa.int64(),
            "time": pa.timestamp("ms", tz="UTC"),
            "seq": pa.int64(),
            "score": pa.float64(),
            **{name: pa.string() for name in texts},
            **{f"{name}_version": pa.string() for name in VERSIONS},
        }
        self._pa = pa
        self._schema = pa.schema(list(types.items()))
        self._names = list(types)
        self._rows: list[tuple[Any, ...]] = []
        self._writer = pq.ParquetWriter(
            pa.PythonFile(_Open(file), mode="w"),
            self._schema,
            compression="zstd",
            compression_level=1,
            # Random ids and texts that never repeat: a dictionary of them is work for nothing.
            use_dictionary=["type", "log", "writer", "outcome", "withheld",
                            *(f"{name}_version" for name in VERSIONS)],
            write_statistics=["idx", "time", "type"],
        )  # fmt: skip

    def add(self, shown: Shown) -> None:
        """Add an entry."""
        entry = shown.entry
        header, opened = entry.header, entry.opened
        answer = shown.values.get("core", {}).get("answer")
        answer = answer if isinstance(answer, dict) else {}
        outcome, score = answer.get("outcome"), answer.get("score")
        withheld = " ".join(f"{block}:{reason}" for block, reason in entry.withheld.items())
        self._rows.append(
            (
                entry.idx,
                seconds_of(header.time) * 1000,
                header.seq,
                score if isinstance(score, float) else None,
                header.type,
                header.entry,
                header.log,
                header.writer,
                outcome if isinstance(outcome, str) else None,
                withheld or None,
                *(opened.get(block) for block in BLOCKS),
                *(header.versions.get(name) for name in VERSIONS),
            )
        )
        if len(self._rows) >= ROW_GROUP:
            self._write()

    def close(self) -> None:
        """Write the end of the file."""
        if self._rows:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        pa = self._pa
        columns = zip(*self._rows, strict=True)
        arrays = []
        for field, values in zip(self._schema, columns, strict=True):
            if field.name == "time":
                arrays.append(pa.array(values, pa.int64()).cast(field.type))
            elif field.name in BLOCKS:  # bytes that are UTF-8: no detour over Python texts
                arrays.append(pa.array(values, pa.binary()).cast(field.type))
            else:
                arrays.append(pa.array(values, field.type))
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()
