"""How is one row put through a LightGBM model with as little as possible around it?

The shared library of the `lightgbm` wheel is loaded directly: importing the package costs 1.6 s
and 90 MB a process here (it pulls in scikit-learn and SciPy), the library 0.05 s and 5 MB. Where
the library or its single-row functions are not found, `Booster.predict` does the same, slower.
Invariant: both give the same bits for the same model and row (tested).
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

# Constants of LightGBM's c_api.h.
_FLOAT64 = 1
_PREDICT_NORMAL = 0
_PREDICT_CONTRIB = 3
_ONE_THREAD = b"num_threads=1 verbose=-1"
_NEEDED = (
    "LGBM_BoosterLoadModelFromString",
    "LGBM_BoosterGetNumFeature",
    "LGBM_BoosterPredictForMatSingleRowFastInit",
    "LGBM_BoosterPredictForMatSingleRowFast",
    "LGBM_FastConfigFree",
    "LGBM_BoosterFree",
    "LGBM_GetLastError",
)


class ModelUnusable(Exception):
    """LightGBM cannot be loaded, or refuses the model or the row."""

    code = "model_unusable"


class RowModel(Protocol):
    """A binary model that takes one row at a time. Not thread-safe: one instance per thread."""

    @property
    def features(self) -> int:
        """Number of values that a row must have."""
        ...

    def probability(self, row: Sequence[float]) -> float:
        """Return the raw probability; NaN is "missing". Raises `ModelUnusable` on a short row."""
        ...

    def contributions(self, row: Sequence[float]) -> list[float]:
        """Return TreeSHAP values in log-odds: one per feature, then the expected value."""
        ...


def load_row_model(model_text: str) -> RowModel:
    """Build the fastest `RowModel` that this machine offers; raises `ModelUnusable`."""
    library = open_library()
    if library is None:
        return BoosterRowModel(model_text)
    return NativeRowModel(library, model_text)


def open_library() -> ctypes.CDLL | None:
    """Load LightGBM's shared library without importing the package; None if it is not as expected.

    Raises `ModelUnusable` when the library is there but the system cannot load it.
    """
    spec = importlib.util.find_spec("lightgbm")
    if spec is None or spec.origin is None:
        raise ModelUnusable("the package `lightgbm` is not installed")
    name = "lib_lightgbm.dylib" if sys.platform == "darwin" else "lib_lightgbm.so"
    path = Path(spec.origin).parent / "lib" / name
    if not path.is_file():
        return None
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        hint = "; install the OpenMP runtime (apt install libgomp1)" if "gomp" in str(error) else ""
        raise ModelUnusable(f"{path} cannot be loaded: {error}{hint}") from None
    if not all(hasattr(library, symbol) for symbol in _NEEDED):
        return None
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library


class _FastCall:
    """One prepared single-row prediction: fixed input and output buffers, one thread."""

    __slots__ = (
        "_config",
        "_features",
        "_function",
        "_input",
        "_length",
        "_library",
        "_pointers",
        "output",
    )

    def __init__(
        self, library: ctypes.CDLL, booster: ctypes.c_void_p, kind: int, features: int, outputs: int
    ) -> None:
        self._library = library
        self._features = features
        self._config = ctypes.c_void_p()
        _check(
            library,
            library.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster,
                ctypes.c_int(kind),
                ctypes.c_int(0),
                ctypes.c_int(-1),
                ctypes.c_int(_FLOAT64),
                ctypes.c_int32(features),
                ctypes.c_char_p(_ONE_THREAD),
                ctypes.byref(self._config),
            ),
        )
        self._function = library.LGBM_BoosterPredictForMatSingleRowFast
        self._input = np.empty(features, dtype=np.float64)
        self.output = np.empty(outputs, dtype=np.float64)
        self._length = ctypes.c_int64(0)
        self._pointers = (
            self._config,
            ctypes.c_void_p(self._input.ctypes.data),
            ctypes.byref(self._length),
            ctypes.c_void_p(self.output.ctypes.data),
        )

    def run(self, row: Sequence[float]) -> None:
        # Checked here because numpy would stretch a row of one value over all inputs.
        if len(row) != self._features:
            raise ModelUnusable(f"a row has {len(row)} values, the model needs {self._features}")
        self._input[:] = row
        _check(self._library, self._function(*self._pointers))

    def free(self) -> None:
        self._library.LGBM_FastConfigFree(self._config)


class NativeRowModel:
    """`RowModel` through `LGBM_BoosterPredictForMatSingleRowFast` (20 µs for 200 trees here).

    Not thread-safe: calls write into buffers of the instance. One instance per worker or thread.
    """

    def __init__(self, library: ctypes.CDLL, model_text: str) -> None:
        self._library = library
        self._booster = ctypes.c_void_p()
        self._calls: list[_FastCall] = []
        trees = ctypes.c_int(0)
        _check(
            library,
            library.LGBM_BoosterLoadModelFromString(
                ctypes.c_char_p(model_text.encode()),
                ctypes.byref(trees),
                ctypes.byref(self._booster),
            ),
        )
        count = ctypes.c_int(0)
        _check(library, library.LGBM_BoosterGetNumFeature(self._booster, ctypes.byref(count)))
        self.features = count.value
        self._normal = self._prepare(_PREDICT_NORMAL, 1)
        self._contrib = self._prepare(_PREDICT_CONTRIB, self.features + 1)

    def _prepare(self, kind: int, outputs: int) -> _FastCall:
        call = _FastCall(self._library, self._booster, kind, self.features, outputs)
        self._calls.append(call)
        return call

    def probability(self, row: Sequence[float]) -> float:
        self._normal.run(row)
        return float(self._normal.output[0])

    def contributions(self, row: Sequence[float]) -> list[float]:
        self._contrib.run(row)
        values: list[float] = self._contrib.output.tolist()
        return values

    def __del__(self) -> None:
        for call in self._calls:
            call.free()
        self._calls = []
        if self._booster.value is not None:
            self._library.LGBM_BoosterFree(self._booster)
            self._booster = ctypes.c_void_p()


class BoosterRowModel:
    """`RowModel` through the public Python API; imports the whole `lightgbm` package."""

    def __init__(self, model_text: str) -> None:
        import lightgbm

        try:
            self._booster = lightgbm.Booster(model_str=model_text)
        except lightgbm.basic.LightGBMError as error:
            raise ModelUnusable(f"LightGBM refuses the model: {error}") from None
        self.features = self._booster.num_feature()

    def probability(self, row: Sequence[float]) -> float:
        return float(self._predict(row, contributions=False)[0])

    def contributions(self, row: Sequence[float]) -> list[float]:
        values: list[float] = self._predict(row, contributions=True)[0].tolist()
        return values

    def _predict(
        self, row: Sequence[float], *, contributions: bool
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        if len(row) != self.features:
            raise ModelUnusable(f"a row has {len(row)} values, the model needs {self.features}")
        matrix = np.array([row], dtype=np.float64)
        result = self._booster.predict(matrix, pred_contrib=contributions, num_threads=1)
        return np.asarray(result, dtype=np.float64)


def _check(library: ctypes.CDLL, code: int) -> None:
    if code:
        text: bytes = library.LGBM_GetLastError()
        raise ModelUnusable(f"LightGBM: {text.decode(errors='replace')}")
