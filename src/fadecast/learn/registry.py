"""The registered model: the ONNX forecast graph of a bundle, with signature and input example."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from mlflow import onnx as mlflow_onnx
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray

from fadecast.learn.tracking import Run

_GRAPH = "forecast.onnx"
_MODEL = "model"
_NEEDS = ("onnx", "onnxruntime", "numpy")


def register(run: Run, bundle: Path, name: str) -> str:
    """Log ``bundle`` with ``run`` and register its forecast graph as a new version of ``name``.

    The graph stands for the model in the registry, since MLflow can serve it as it is; what a
    vehicle or a batch job takes is the whole bundle, in the artifacts of the same run.

    Returns:
        The version.
    """
    run.folder(bundle, "bundle")
    graph = onnx.load(str(bundle / _GRAPH))
    inputs, outputs = list(graph.graph.input), list(graph.graph.output)
    signature = ModelSignature(
        inputs=Schema([_tensor(value) for value in inputs]),
        outputs=Schema([_tensor(value) for value in outputs]),
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / _MODEL
        mlflow_onnx.save_model(
            graph, str(folder), signature=signature,
            input_example={value.name: _example(value) for value in inputs},
            pip_requirements=list(_NEEDS), save_as_external_data=False,
        )  # fmt: skip
        run.folder(folder, _MODEL)
    try:
        run.client.get_registered_model(name)
    except MlflowException:
        run.client.create_registered_model(name)
    source = f"{run.client.get_run(run.run_id).info.artifact_uri}/{_MODEL}"
    version = run.client.create_model_version(name, source, run.run_id)
    return str(version.version)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(d.dim_value or -1 for d in value.type.tensor_type.shape.dim)


def _tensor(value: Any) -> TensorSpec:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    return TensorSpec(np.dtype(dtype), _shape(value), value.name)


def _example(value: Any) -> NDArray[np.float32]:
    """A cell's first cycle, of which nothing was observed."""
    return np.zeros([max(size, 1) for size in _shape(value)], np.float32)
