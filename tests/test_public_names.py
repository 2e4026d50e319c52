"""What `import astraguard_store` offers, and what it leaves unimported."""

import importlib
import inspect
import subprocess
import sys
from importlib.resources import files
from types import ModuleType
from typing import Any

import pytest

import astraguard_store
from astraguard_store import model

# Fixed by those who use them; more may be added.
PROMISED = {
    "Comparison",
    "LatencyCollector",
    "LatencyMeasurement",
    "MetricSummary",
    "MetricsStorage",
    "RunHeader",
    "RunRepository",
    "RunSummary",
    "StoreError",
}
public = pytest.mark.parametrize("name", sorted(astraguard_store.__all__))


class TestAll:
    """`__all__` is the reference of the package."""

    @public
    def test_every_name_in_it_is_there(self, name: str) -> None:
        assert hasattr(astraguard_store, name)

    def test_it_has_what_was_promised(self) -> None:
        assert set(astraguard_store.__all__) >= PROMISED

    def test_it_names_nothing_twice(self) -> None:
        assert len(astraguard_store.__all__) == len(set(astraguard_store.__all__))

    def test_it_leaves_out_no_public_name(self) -> None:
        for name in astraguard_store.__all__:
            getattr(astraguard_store, name)  # those that are imported late

        public_names = {
            name
            for name, value in vars(astraguard_store).items()
            if not name.startswith("_")
            and not isinstance(value, ModuleType)
            and getattr(value, "__module__", "").startswith("astraguard_store")
        }
        assert public_names <= set(astraguard_store.__all__)

    def test_it_has_every_value(self) -> None:
        values = {
            name
            for name, value in vars(model).items()
            if inspect.isclass(value)
            and value.__module__ == model.__name__
            and not name.startswith("_")
        }

        assert set(astraguard_store.__all__) >= values

    @public
    def test_a_class_says_it_comes_from_the_package(self, name: str) -> None:
        value = getattr(astraguard_store, name)

        if inspect.isclass(value):
            assert value.__name__ == name
            assert value.__module__.startswith("astraguard_store")

    def test_dir_lists_it(self) -> None:
        assert set(dir(astraguard_store)) >= set(astraguard_store.__all__)

    def test_a_name_that_is_not_there_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="no_such_name"):
            astraguard_store.no_such_name  # noqa: B018


def public_members(owner: Any) -> list[tuple[str, Any]]:
    return [
        (name, member)
        for name, member in inspect.getmembers(owner)
        if not name.startswith("_")
        and (inspect.isroutine(member) or isinstance(member, property))
        # What a built-in base class brings along is documented there.
        and name in {n for base in owner.__mro__[:-1] if is_ours(base) for n in vars(base)}
    ]


def is_ours(value: Any) -> bool:
    return getattr(value, "__module__", "").startswith("astraguard_store")


class TestDocstrings:
    """Every public name says what it is."""

    def test_the_package_has_one(self) -> None:
        assert astraguard_store.__doc__

    @public
    def test_every_class_and_function_has_one_of_its_own(self, name: str) -> None:
        value = getattr(astraguard_store, name)

        if inspect.isclass(value) or inspect.isroutine(value):
            # A dataclass without one gets its signature, a subclass its base's.
            assert vars(value).get("__doc__"), f"{name} has no docstring"
            assert not (value.__doc__ or "").startswith(f"{name}(")

    @public
    def test_every_public_method_has_one(self, name: str) -> None:
        value = getattr(astraguard_store, name)

        if inspect.isclass(value):
            bare = [member for member, method in public_members(value) if not method.__doc__]
            assert bare == []


class TestImport:
    """A runner that only saves doesn't pay for what it doesn't use."""

    NOT_IMPORTED = ("alembic", "polars", "click", "rich", "numpy", "astraguard_store.cli")

    def test_the_import_leaves_heavy_modules_unimported(self) -> None:
        program = (
            "import sys, astraguard_store\n"
            "for name in astraguard_store.__all__: getattr(astraguard_store, name)\n"
            "print('\\n'.join(sys.modules))"
        )

        output = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

        imported = set(output.split())
        assert "astraguard_store" in imported
        assert imported.isdisjoint(self.NOT_IMPORTED)

    def test_type_checkers_find_the_marker(self) -> None:
        assert files("astraguard_store").joinpath("py.typed").is_file()

    def test_the_version_is_a_release_number(self) -> None:
        parts = astraguard_store.__version__.split(".")

        assert len(parts) == 3
        assert all(part.isdigit() for part in parts[:2])

    @pytest.mark.parametrize("module", ["metrics_storage", "store", "latency", "model"])
    def test_a_module_has_a_docstring(self, module: str) -> None:
        assert importlib.import_module(f"astraguard_store.{module}").__doc__
