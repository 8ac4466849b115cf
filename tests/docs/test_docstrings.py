"""Every example in a docstring runs, and every public name has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import cepheid

# `python -m cepheid` runs when it is imported.
MODULES = sorted(
    {"cepheid", *(m.name for m in pkgutil.walk_packages(cepheid.__path__, "cepheid.") if m.name != "cepheid.__main__")}
    - {"cepheid._native"}
)
FLAGS = doctest.NORMALIZE_WHITESPACE


def examples(module):
    return [test for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]


def public_members():
    """Every public function, class, method and property of the package, by its full name."""
    for name in cepheid.__all__:
        value = getattr(cepheid, name)
        if inspect.isclass(value):
            yield name, value
            for member, attribute in vars(value).items():
                if not member.startswith("_"):
                    yield f"{name}.{member}", attribute
            for base in value.__mro__[1:-1]:
                if base.__module__.startswith("cepheid"):
                    for member, attribute in vars(base).items():
                        if not member.startswith("_"):
                            yield f"{name}.{member}", attribute
        elif callable(value) and inspect.isfunction(value):
            yield name, value
    from cepheid.namespaces import TemporalFunctions, TextFunctions

    for value in (TextFunctions, TemporalFunctions):
        for member, attribute in vars(value).items():
            if not member.startswith("_"):
                yield f"{value.__name__}.{member}", attribute


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    output = []
    for test in examples(module):
        runner.run(test, out=output.append)
    assert runner.failures == 0, "".join(output)


def test_there_are_as_many_examples_as_were_written():
    counted = sum(len(examples(importlib.import_module(name))) for name in MODULES)
    assert counted >= 160, f"only {counted} docstrings with examples in {len(MODULES)} modules; have they moved?"
    assert len(MODULES) >= 25


def test_every_public_name_has_a_docstring_with_an_example():
    members = dict(public_members())
    assert len(members) >= 140, f"only {len(members)} public names found"
    errors = {name for name, value in members.items() if inspect.isclass(value) and issubclass(value, Exception)}
    documented = {}
    for name, value in members.items():
        target = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        documented[name] = inspect.getdoc(target) or ""
    data = {
        name
        for name, value in members.items()
        if not callable(value) and not isinstance(value, (property, classmethod, staticmethod))
    }
    missing = sorted(name for name, doc in documented.items() if ">>> " not in doc and name not in errors | data)
    assert missing == []
    assert all(documented[name] for name in errors)
