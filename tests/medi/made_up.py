"""A made-up package: documented objects with every section, as ``extract`` finds them in a real one."""

from __future__ import annotations

from one_embedder.medi.sources.documentation.extract import DocObject, Parameter

NOUNS = "array table graph matrix figure model token request socket thread queue record".split()
VERBS = "Compute Return Create Check Convert Remove Merge Split".split()
TYPES = ("int", "str", "bool", "array")
ERRORS = ("ValueError", "TypeError")


def made_up(package: str, side: str, domain: str) -> list[DocObject]:
    """96 objects in four areas, each with every section."""
    objects = []
    for i in range(96):
        verb, noun, other = VERBS[i % 8], NOUNS[i % 12], NOUNS[(i * 5 + 3) % 12]
        objects.append(
            DocObject(
                package=package, domain=domain, side=side, module=f"{package}.area{i % 4}", qualname=f"f{i}",
                area=f"area{i % 4}", kind="function" if i % 3 else "class", arguments=("first", "second"),
                summary=f"{verb} the {noun} number {package} {i} from a {other} that is given.",
                details=f"The {noun} {package} {i} is read once, then every {package} {other} is looked at {i}.",
                notes=f"Large {noun} objects of {package} take long when {other} {package} grows beyond {i}.",
                example=f"f{i}({noun}, {other})",
                parameters=(
                    Parameter("first", TYPES[i % 4], f"The {noun} of {package} to begin with {i}."),
                    Parameter("second", TYPES[i % 2], f"Where the {other} of {package} goes {i}."),
                ),
                returns=(f"A {noun} of {package} with all of its {other} parts, case {i}.",),
                raises=((ERRORS[i % 2], f"If the {noun} of {package} has no {other} in it, case {i}."),),
                related=(f"f{(i + 1) % 96}",),
            )
        )  # fmt: skip
    return objects
