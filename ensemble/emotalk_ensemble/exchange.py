"""Between Triton's requests and this package's functions: arrays and parameters in, arrays or an error out.

Rule that this module guards: **one caller's mistake is that caller's alone.** Triton runs requests of several callers
in one ``execute``, and what that raises fails all of them; so whatever one request raises becomes that request's error.

``pb_utils`` is Triton's ``triton_python_backend_utils``, which only exists in its processes; the models hand it in.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from emotalk_contract.errors import InvalidOption, InvalidRequest, InvalidShape
from emotalk_contract.quoting import cut
from emotalk_contract.tensors import Model
from emotalk_ensemble.admission import EnsembleFull

logger = logging.getLogger(__name__)

Arrays: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error that one request gets."""

    message: str
    code: Literal["INVALID_ARG", "UNAVAILABLE", "INTERNAL"]
    """Name of a Triton error code."""


def guarded(compute: Callable[[], Arrays]) -> Arrays | Refusal:
    """Return what ``compute`` returns, or the refusal that its exception means."""
    try:
        return compute()
    except InvalidRequest as error:
        return Refusal(error.tagged(), "INVALID_ARG")
    except EnsembleFull as error:
        return Refusal(str(error), "UNAVAILABLE")
    except Exception as error:
        logger.exception("a request failed")
        return internal(error)


def internal(error: Exception) -> Refusal:
    """Return the refusal for an ``error`` that is not the caller's."""
    return Refusal(f"[InternalError] {type(error).__name__}: {cut(str(error))}", "INTERNAL")


def respond(pb_utils: Any, request: Any, model: Model, compute: Callable[[Arrays, Mapping[str, Any]], Arrays]) -> Any:
    """Return the response to ``request``: what ``compute`` makes of its inputs and parameters, or the error."""
    required = [tensor.name for tensor in model.inputs if not tensor.optional]
    optional = [tensor.name for tensor in model.inputs if tensor.optional]
    return response(
        pb_utils,
        guarded(lambda: compute(inputs_of(pb_utils, request, required, optional), parameters_of(request))),
    )


def response(pb_utils: Any, outcome: Arrays | Refusal) -> Any:
    """Return ``outcome`` as Triton's response."""
    if not isinstance(outcome, Refusal):
        try:
            return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in outcome.items()])
        except Exception as error:
            logger.exception("a response could not be made")
            outcome = internal(error)
    code = getattr(pb_utils.TritonError, outcome.code)
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(outcome.message, code))


def inputs_of(pb_utils: Any, request: Any, required: Iterable[str], optional: Iterable[str] = ()) -> Arrays:
    """Return the tensors of ``request`` by name.

    Raises:
        InvalidShape: a required one is missing, or one has no items.
    """
    required = list(required)
    given = {name: pb_utils.get_input_tensor_by_name(request, name) for name in (*required, *optional)}
    if missing := [name for name in required if given[name] is None]:
        raise InvalidShape(f"{', '.join(missing)} is missing; accepted: {', '.join(required)}")
    arrays: Arrays = {name: tensor.as_numpy() for name, tensor in given.items() if tensor is not None}
    for name, array in arrays.items():
        if array.ndim == 0 or len(array) == 0:
            raise InvalidShape(f"{name} has shape {list(array.shape)}; accepted: a batch of at least one item")
    return arrays


def parameters_of(request: Any) -> dict[str, Any]:
    """Return the parameters of ``request``.

    Raises:
        InvalidOption: they are not UTF-8, or not what JSON can hold.
    """
    try:
        parameters = json.loads(request.parameters())
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise InvalidOption(
            f"the request's parameters cannot be read ({cut(str(error), 100)}); accepted: UTF-8 text, numbers, booleans"
        ) from None
    if not isinstance(parameters, dict):
        raise InvalidOption(f"the request's parameters are a {type(parameters).__name__}; accepted: values by name")
    return parameters
