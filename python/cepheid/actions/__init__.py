"""What an app does about events: webhooks, commands, notifications, rows in tables, files, workflows."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cepheid.actions.append_file import AppendFile
    from cepheid.actions.command import Command, CommandError
    from cepheid.actions.function import Function
    from cepheid.actions.notify import Notify
    from cepheid.actions.protocol import Action, ActionContext, GivesUp, Memory, is_coroutine_action
    from cepheid.actions.sql_upsert import SqlUpsert
    from cepheid.actions.webhook import Webhook
    from cepheid.actions.workflow import Step, Workflow, WorkflowError

__all__ = [
    "Action",
    "ActionContext",
    "AppendFile",
    "Command",
    "CommandError",
    "Function",
    "GivesUp",
    "Memory",
    "Notify",
    "SqlUpsert",
    "Step",
    "Webhook",
    "Workflow",
    "WorkflowError",
    "is_coroutine_action",
]

_MODULES = {
    "AppendFile": "append_file",
    "Command": "command",
    "CommandError": "command",
    "Function": "function",
    "Notify": "notify",
    "SqlUpsert": "sql_upsert",
    "Step": "workflow",
    "Webhook": "webhook",
    "Workflow": "workflow",
    "WorkflowError": "workflow",
}


def __getattr__(name: str) -> Any:
    # Read when they are asked for: who sends webhooks needs no SQL.
    if name in __all__:
        return getattr(import_module(f"cepheid.actions.{_MODULES.get(name, 'protocol')}"), name)
    raise AttributeError(f"module `cepheid.actions` has no attribute `{name}`")
