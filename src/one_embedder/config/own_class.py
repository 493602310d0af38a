"""Classes that users add: a file of ``conf`` names one by ``_target_``, and its arguments are the keys beside that.

The signature is the schema: a key that is no argument is refused, as is an argument without a value. What the file
leaves out is filled in from the signature, so that records and run ids hold every value.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from one_embedder.config.messages import nearest
from one_embedder.errors import ConfigError

TARGET = "_target_"
VERSION = "_version_"
"""Key under which the class's attribute ``version`` is kept: what of its code enters a run id."""

_PLAIN = (type(None), bool, int, float, str, list, dict)


def class_name(settings: Any) -> str:
    """In a word: the class's own name; what is no such mapping names itself."""
    return str(settings[TARGET]).rpartition(".")[2] if isinstance(settings, Mapping) else str(settings)


def completed(where: str, settings: Mapping[str, Any], given: int = 0) -> dict[str, Any]:
    """The settings with the signature's defaults and the class's version; the class is imported.

    Args:
        where: the section's dotted key, for messages.
        settings: ``_target_`` and arguments.
        given: how many of the class's first arguments are not the configuration's to give.

    Raises:
        ConfigError: the class cannot be imported, a key is none of its arguments, an argument has no value, or the
            version is neither a number nor a text.
    """
    target = imported(where, settings)
    arguments = {key: value for key, value in settings.items() if key not in (TARGET, VERSION)}
    known = list(inspect.signature(target).parameters.values())
    positional = [p.name for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    ours = {p.name for p in known if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} - set(positional[:given])
    named = {p.name: p for p in known if p.name in ours}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in known)
    for key in arguments:
        if key not in named and not takes_any:
            told = f"it takes {nearest(key, tuple(named))}" if named else "it takes no settings"
            raise ConfigError(f"{where}.{key}: {settings[TARGET]} has no argument {key!r}; {told}")
    for name, parameter in named.items():
        if name not in arguments and parameter.default is parameter.empty:
            raise ConfigError(f"{where}.{name} is missing: {settings[TARGET]} needs a value for it")
        if name not in arguments and isinstance(parameter.default, _PLAIN):
            arguments[name] = parameter.default
    version = getattr(target, "version", None)
    if not isinstance(version, int | float | str | None):
        raise ConfigError(
            f"{where}: the attribute version of {settings[TARGET]} is {version!r}; make it a number or text"
        )
    return {TARGET: settings[TARGET], **({} if version is None else {VERSION: version}), **arguments}


def imported(where: str, settings: Mapping[str, Any]) -> Any:
    """The class or function that ``_target_`` names.

    Raises:
        ConfigError: there is none of that name.
    """
    target = settings.get(TARGET)
    if not isinstance(target, str) or "." not in target:
        raise ConfigError(f"{where} names no class: give it _target_: package.module.Class")
    place, _, name = target.rpartition(".")
    try:
        return getattr(import_module(place), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise  # of something that the class's module imports
        told = f"there is no module {error.name!r}; install its package, or add its folder to PYTHONPATH"
        raise ConfigError(f"{where}.{TARGET}={target}: {told}") from error
    except AttributeError as error:
        raise ConfigError(f"{where}.{TARGET}={target}: {place} has no {name!r}") from error


def made(where: str, settings: Mapping[str, Any], kind: type, *given: Any) -> Any:
    """An object of the class.

    Args:
        where: the section's dotted key, for messages.
        settings: ``_target_`` and arguments.
        kind: what it must be.
        given: its first arguments, in order.

    Raises:
        ConfigError: the class refuses its arguments, or is none of that kind.
    """
    arguments = {key: value for key, value in settings.items() if key != VERSION}
    try:
        call = instantiate({**arguments, "_partial_": True}, _convert_="all")
        value = call(*given)
    except InstantiationException as error:
        raise ConfigError(f"{where}: {error}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {settings[TARGET]} refuses its settings: {error}") from error
    if not isinstance(value, kind):
        raise ConfigError(f"{where}: {settings[TARGET]} must be a {kind.__module__}.{kind.__qualname__}")
    return value
