# bash completion for tandem: commands and options come from the binary itself.
_tandem() {
    local cur=${COMP_WORDS[COMP_CWORD]} tandem=${COMP_WORDS[0]}
    if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$tandem" --list-commands 2>/dev/null) --help --version" -- "$cur")
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$tandem" "${COMP_WORDS[1]}" --help 2>/dev/null |
            grep -oE -- '--[a-z-]+' | sort -u)" -- "$cur")
    else
        case ${COMP_WORDS[COMP_CWORD - 1]} in
        -o | --output) mapfile -t COMPREPLY < <(compgen -W 'text wide name json yaml' -- "$cur") ;;
        --context-a | --context-b)
            mapfile -t COMPREPLY < <(compgen -W "$(kubectl config get-contexts -o name 2>/dev/null)" -- "$cur") ;;
        --log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur") ;;
        *) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        esac
    fi
}
complete -F _tandem tandem
