"""Scripts that complete the command line of ``cpsl`` in a shell."""

from __future__ import annotations

import argparse

__all__ = ["SHELLS", "script"]

SHELLS = ("bash", "zsh", "fish")
_BASH = """\
_cpsl() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" command="" words="{commands}" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ "${{COMP_WORDS[i]}}" != -* ]] && command="${{COMP_WORDS[i]}}" && break
    done
    case "$command" in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _cpsl cpsl
"""
_BASH_CASE = '    {name}) words="{words}" ;;'
_ZSH = """\
(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit; }}
autoload -Uz bashcompinit && bashcompinit
"""
_FISH = "complete -c cpsl -n __fish_use_subcommand -f -a {name} -d '{about}'\n"
_FISH_OPTION = "complete -c cpsl -n '__fish_seen_subcommand_from {name}' -l {option}\n"
_FISH_VALUES = "complete -c cpsl -n '__fish_seen_subcommand_from {name}' -f -a '{values}'\n"


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
    values = {"help": " ".join(commands), "completion": " ".join(SHELLS)}
    options = {name: _options(parser) for name, parser in commands.items()}
    if shell == "fish":
        lines = []
        for name, parser in commands.items():
            about = (parser.description or "").replace("'", r"\'")
            lines.append(_FISH.format(name=name, about=about))
            lines += [_FISH_OPTION.format(name=name, option=o[2:]) for o in options[name]]
        lines += [_FISH_VALUES.format(name=name, values=words) for name, words in values.items()]
        return "".join(lines)
    cases = "\n".join(
        _BASH_CASE.format(name=name, words=" ".join([*found, *values.get(name, "").split()]))
        for name, found in options.items()
    )
    template = (_ZSH if shell == "zsh" else "") + _BASH
    return template.format(cases=cases, commands=" ".join(commands))


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """Return the long options in a parser's usage."""
    words = parser.format_usage().replace("[", " ").replace("]", " ").split()
    return sorted({word for word in words if word.startswith("--")} | {"--help"})
