"""The engine, through its C ABI (kernels/include/redraft.h): training sees what serving sees."""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

ABI_VERSION = 3
PAGE_TOKENS = 16
_REPOSITORY = Path(__file__).resolve().parents[2]


class EngineError(Exception):
    """The engine refused a call, or is not there."""


def library_path() -> Path:
    """Where the engine's library is: REDRAFT_LIBRARY, else the repository's own build.

    Raises:
        EngineError: If it is not there.
    """
    named = os.environ.get("REDRAFT_LIBRARY")
    path = Path(named) if named else _REPOSITORY / "build" / "libredraft_cpu.so"
    if not path.is_file():
        hint = (
            "REDRAFT_LIBRARY names it" if named else "run `deno task build` or set REDRAFT_LIBRARY"
        )
        raise EngineError(f"Cannot load engine: no file {path} ({hint})")
    return path


def _load(path: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path))
        version = library.redraft_abi_version
    except (OSError, AttributeError) as error:
        raise EngineError(f"Cannot load engine {path}: {error}") from error
    version.restype = ctypes.c_uint32
    if version() != ABI_VERSION:
        raise EngineError(f"Cannot use engine {path}: ABI {version()}, want {ABI_VERSION}")
    pointer, size, u32 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32
    out_size = ctypes.POINTER(size)
    for name, arguments in {
        "redraft_open": [ctypes.c_char_p, size, ctypes.POINTER(u32)],
        "redraft_close": [u32],
        "redraft_model_info": [u32, pointer, size, out_size],
        "redraft_tokenizer": [u32, pointer, size, out_size],
        "redraft_step": [u32, pointer, size, pointer, size],
        "redraft_hidden": [u32, pointer, size, pointer, pointer, size],
        "redraft_last_error": [u32, pointer, size, out_size],
    }.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, ctypes.c_int32
    return library


class Engine:
    """One open engine; not to be shared between threads."""

    def __init__(
        self,
        model: Path,
        *,
        head: Path | None = None,
        threads: int = 1,
        slots_max: int = 1,
        pages_max: int = 16,
        rows_max: int = 512,
        context_max: int = 2048,
    ) -> None:
        """Opens a model.

        Args:
            pages_max: KV pages of PAGE_TOKENS tokens.
            rows_max: Rows of one step.

        Raises:
            EngineError: With the engine's own words.
        """
        self._handle = 0
        if not model.is_file():
            raise EngineError(f"Cannot open model: no file {model}")
        self._library = _load(library_path())
        config = json.dumps(
            {
                "model": str(model),
                "head": str(head) if head else None,
                "threads": threads,
                "slots_max": slots_max,
                "pages_max": pages_max,
                "rows_max": rows_max,
                "context_max": context_max,
            }
        ).encode()
        handle = ctypes.c_uint32(0)
        status = self._library.redraft_open(config, len(config), ctypes.byref(handle))
        self._check("open model", status)
        self._handle = handle.value
        self.context_max, self.slots_max = context_max, slots_max
        self.pages_max, self.rows_max = pages_max, rows_max
        self.info: dict[str, Any] = self._json("redraft_model_info")
        self.digest: str = self.info["model"]["digest"]
        self.hidden_size: int = self.info["model"]["hidden_size"]
        self.vocab_size: int = self.info["model"]["vocab_size"]

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Joins the engine's threads and frees it; the second call does nothing."""
        if self._handle:
            self._library.redraft_close(self._handle)
            self._handle = 0

    def _check(self, verb: str, status: int) -> None:
        if status == 0:
            return
        text = ctypes.create_string_buffer(4096)
        used = ctypes.c_size_t(0)
        self._library.redraft_last_error(self._handle, text, len(text), ctypes.byref(used))
        words = text.raw[: min(used.value, len(text))].decode("utf-8", "replace")
        raise EngineError(f"Cannot {verb}: {words or 'status ' + str(status)}")

    def _json(self, name: str) -> dict[str, Any]:
        size = ctypes.c_size_t(0)
        room = 1 << 16
        while True:
            text = ctypes.create_string_buffer(room)
            status = getattr(self._library, name)(self._handle, text, room, ctypes.byref(size))
            if status == 0:
                return json.loads(text.raw[: size.value])
            if size.value <= room:
                self._check(name.removeprefix("redraft_"), status)
            room = size.value

    def tokenizer(self) -> dict[str, Any]:
        """The model file's own tokenizer, as redraft.h lists it."""
        return self._json("redraft_tokenizer")

    def hidden(
        self, tokens: np.ndarray, *, logits_start: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Final hidden states, after the last RMSNorm.

        Args:
            tokens: [count] ids, count <= context_max.
            logits_start: Also give logits, of this row and those after it.

        Returns:
            [count, hidden_size] f32, and [count - logits_start, vocab_size] f32 or None.
        """
        ids = np.ascontiguousarray(tokens, np.uint32)
        hidden = np.empty((len(ids), self.hidden_size), np.float32)
        start = len(ids) if logits_start is None else logits_start
        logits = None
        if logits_start is not None:
            logits = np.empty((len(ids) - start, self.vocab_size), np.float32)
        status = self._library.redraft_hidden(
            self._handle,
            ids.ctypes.data,
            len(ids),
            hidden.ctypes.data,
            logits.ctypes.data if logits is not None else None,
            start,
        )
        self._check("read hidden states", status)
        return hidden, logits

    def step(self, plan: np.ndarray, result_words_max: int) -> np.ndarray:
        """One step. plan: [words] u32, see redraft.h. Returns the result's words, [words] u32."""
        plan = np.ascontiguousarray(plan, "<u4")
        result = np.empty(result_words_max, "<u4")
        status = self._library.redraft_step(
            self._handle, plan.ctypes.data, plan.nbytes, result.ctypes.data, result.nbytes
        )
        self._check("run step", status)
        return result[: int(result[2]) // 4]
