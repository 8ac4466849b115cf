"""What an app does about events: webhooks, commands, notifications, rows in tables, files, workflows."""
