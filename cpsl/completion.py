"""Scripts that complete the command line of ``cpsl`` in a shell."""

from __future__ import annotations

import argparse

__all__ = ["SHELLS", "script"]

_BASH = """\
_cpsl() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}"
    case "${{COMP_WORDS[1]}}" in
{cases}
    *) COMPREPLY=($(compgen -W "{commands}" -- "$word")) ;;
    esac
}}
complete -o default -F _cpsl cpsl
"""
_BASH_CASE = '    {name}) COMPREPLY=($(compgen -W "{options}" -- "$word")) ;;'
_ZSH = "autoload -Uz bashcompinit && bashcompinit\n" + _BASH
_FISH = "complete -c cpsl -n __fish_use_subcommand -f -a {name} -d '{about}'\n"
_FISH_OPTION = "complete -c cpsl -n '__fish_seen_subcommand_from {name}' -l {option}\n"
SHELLS = ("bash", "zsh", "fish")


def script(shell: str, commands: dict[str, argparse.ArgumentParser]) -> str:
    """Return the script for a shell.

    Parameters
    ----------
    shell : {"bash", "zsh", "fish"}
        The shell.
    commands : dict
        The parser of each command.

    Returns
    -------
    str
        The script, which the shell's start-up file evaluates.
    """
    options = {name: _options(parser) for name, parser in commands.items()}
    if shell == "fish":
        lines = []
        for name, parser in commands.items():
            about = (parser.description or "").replace("'", r"\'")
            lines.append(_FISH.format(name=name, about=about))
            lines += [_FISH_OPTION.format(name=name, option=o[2:]) for o in options[name]]
        return "".join(lines)
    cases = "\n".join(
        _BASH_CASE.format(name=name, options=" ".join(found)) for name, found in options.items()
    )
    return (_ZSH if shell == "zsh" else _BASH).format(cases=cases, commands=" ".join(commands))


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """Return the long options in a parser's usage."""
    words = parser.format_usage().replace("[", " ").replace("]", " ").split()
    return sorted({word for word in words if word.startswith("--")} | {"--help"})
