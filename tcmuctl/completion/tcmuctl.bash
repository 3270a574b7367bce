# bash completion for tcmuctl; installed as /usr/share/bash-completion/completions/tcmuctl
_tcmuctl() {
    local current=${COMP_WORDS[COMP_CWORD]} command= word
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
            -*) ;;
            *) command=$word; break ;;
        esac
    done
    case $command in
        "") COMPREPLY=($(compgen -W "list handlers show audit watch top restart hold resume limit check-config decode doctor --help" \
                -- "$current")) ;;
        list) COMPREPLY=($(compgen -W "--json --names --help" -- "$current")) ;;
        handlers | audit) COMPREPLY=($(compgen -W "--json --help" -- "$current")) ;;
        watch | top) COMPREPLY=($(compgen -W "--interval --count --help" -- "$current")) ;;
        decode) [[ $word == "${COMP_WORDS[COMP_CWORD-1]}" ]] &&
                COMPREPLY=($(compgen -W "cdb seccomp sense --help" -- "$current")) ;;
        show | restart | hold | resume | limit)
            if [[ $current == -* ]]; then
                [[ $command == show ]] && COMPREPLY=($(compgen -W "--json --help" -- "$current"))
                [[ $command == limit ]] &&
                    COMPREPLY=($(compgen -W "--iops --bytes-per-second --reset --help" -- "$current"))
                return
            fi
            # Names are read line by line: they may hold anything but a slash and blanks.
            local key keys=()
            while IFS= read -r key; do keys+=("$key" "${key#*/}"); done < <(tcmuctl list --names 2>/dev/null)
            for key in "${keys[@]}"; do [[ $key == "$current"* ]] && COMPREPLY+=("$(printf %q "$key")"); done ;;
    esac
}
complete -F _tcmuctl tcmuctl
