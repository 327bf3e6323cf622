/**
 * What shells have to be told. All knowledge stays in `holdfast __complete`, which prints one candidate a line; a line
 * with only `@files` means that files fit as well.
 */
export const shells = ['bash', 'zsh', 'fish'] as const
export type ShellName = (typeof shells)[number]

const bash = `# holdfast completion for bash
_holdfast() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" line
  local -a words=("\${COMP_WORDS[@]:1:COMP_CWORD-1}")
  COMPREPLY=()
  while IFS= read -r line; do
    if [ "$line" = '@files' ]; then
      compopt -o default 2>/dev/null
    else
      COMPREPLY+=("$(printf '%q' "$line")")
    fi
  done < <(holdfast __complete -- "\${words[@]}" "$cur" 2>/dev/null)
}
complete -F _holdfast holdfast
`

const zsh = `#compdef holdfast
# holdfast completion for zsh
_holdfast() {
  local line files=0
  local -a found
  while IFS= read -r line; do
    if [[ "$line" == '@files' ]]; then files=1; else found+=("$line"); fi
  done < <(holdfast __complete -- "\${(@)words[2,CURRENT-1]}" "\${words[CURRENT]}" 2>/dev/null)
  (( \${#found} )) && compadd -a found
  (( files )) && _files
}
# As a file in fpath this is the function's body at its first call; elsewhere it defines the function
if [[ "$funcstack[1]" == _holdfast ]]; then _holdfast "$@"; else compdef _holdfast holdfast; fi
`

const fish = `# holdfast completion for fish
function __holdfast_complete
    set -l words (commandline -opc)
    for line in (holdfast __complete -- $words[2..-1] (commandline -ct) 2>/dev/null)
        if test "$line" = '@files'
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c holdfast -f -a '(__holdfast_complete)'
`

/** The completion script of each shell. */
export const scripts: Readonly<Record<ShellName, string>> = { bash, zsh, fish }
