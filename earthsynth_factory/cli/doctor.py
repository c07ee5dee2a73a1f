"""`doctor`: what this machine has, and what will not work."""

from __future__ import annotations

import typer

from earthsynth_factory.cli.say import say


def doctor() -> None:
    """Check Python, packages, devices, models, memory and disk; exit 2 where something a build needs is missing."""
    from earthsynth_factory.build.doctor import all_checks

    checks = all_checks()
    for check in checks:
        say(f"{'ok  ' if check.ok else 'LACK'} {check.name}: {check.found}")
        if not check.ok:
            say(f"      {check.remedy}")
    if any(not check.ok and check.needed for check in checks):
        raise typer.Exit(2)
