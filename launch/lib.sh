# shellcheck shell=bash
# What the launch scripts share: flags, errors, --dry-run, and the table of slices.
# Sourced, never run. A script sets its variables to their defaults, then calls
# parse_flags "VALUE FLAGS" "SWITCHES" "$@".

program=$(basename "${0%.*}")
dry_run=${dry_run:-}
words=()
rest=()

# One line to stderr, exit 2: the user can mend it.
die() {
  echo "$program: error: $*" >&2
  exit 2
}

note() {
  echo "$program: $*" >&2
}

# The comment at the head of the script is its help.
print_help() {
  sed -n '/^#SBATCH/d;2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"
}

# --name=value sets $name, --switch sets $switch to 1 (a - in a name is _ in the
# variable's). Other words go to $words, what follows -- to $rest.
parse_flags() {
  local flags=" $1 " switches=" $2 " argument key
  shift 2
  while [ $# -gt 0 ]; do
    argument=$1
    shift
    key=${argument%%=*}
    key=${key#--}
    case "$argument" in
      --)
        rest=("$@")
        return
        ;;
      --help | -h)
        print_help
        exit 0
        ;;
      -*)
        if [[ $argument == --*=* && $flags == *" $key "* ]]; then
          printf -v "${key//-/_}" %s "${argument#*=}"
        elif [[ $argument == "--$key" && $switches == *" $key "* ]]; then
          printf -v "${key//-/_}" 1
        elif [[ $flags == *" $key "* ]]; then
          die "--$key needs a value: --$key=..."
        elif [[ $switches == *" $key "* ]]; then
          die "--$key takes no value"
        else
          die "unknown flag ${argument%%=*}; there are$(listed "$flags" "$switches")"
        fi
        ;;
      *) words+=("$argument") ;;
    esac
  done
}

# The names of all flags, as they are typed.
listed() {
  local name
  # shellcheck disable=SC2086  # lists of names
  for name in $1; do printf ' --%s=' "$name"; done
  # shellcheck disable=SC2086
  for name in $2; do printf ' --%s' "$name"; done
}

# require NAME...: the flags that must have a value.
require() {
  local key variable
  for key in "$@"; do
    variable=${key//-/_}
    [ -n "${!variable}" ] || die "--$key=... is needed; --help explains it"
  done
}

# whole NAME...: the flags that must be whole numbers, 1 or more.
whole() {
  local key variable
  for key in "$@"; do
    variable=${key//-/_}
    [[ ${!variable} =~ ^[1-9][0-9]*$ ]] ||
      die "--$key=${!variable}: expected a whole number, 1 or more"
  done
}

# A name that Google Cloud and Kubernetes both take.
check_name() {
  [[ $1 =~ ^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$ ]] ||
    die "--name=$1: expected small letters, digits and -, a letter first, 40 at most"
}

# What follows -- are flags of `animatrix train`; --workdir is the script's own.
check_train_flags() {
  local flag config="" path=""
  for flag in "${rest[@]+"${rest[@]}"}"; do
    case "$flag" in
      --workdir*) die "--workdir goes before --: it is a flag of this script" ;;
      *$'\n'*) die "a flag of train has a line break" ;;
      --config=*) config=${flag#--config=} ;;
      --config.data.path=?*) path=1 ;;
    esac
  done
  [ -n "$config" ] || die "after -- come the flags of train, --config=FILE among them"
  # Else the training says so, when the machines already cost money.
  case "${config##*/}" in
    *data=cels*) ;;
    wan.py* | *data=videos* | *data=dataset*)
      [ -n "$path" ] ||
        die "--config=$config trains on clips: --config.data.path=DIR is needed"
      ;;
  esac
}

# A command as one line that a shell would take back.
quoted() {
  local word flag line="" plain='^[A-Za-z0-9_@%+=:,./-]+$'
  for word in "$@"; do
    flag=""
    if [[ ! $word =~ $plain ]]; then
      # Of --flag=value only the value.
      if [[ $word =~ ^(--[a-z-]+=)(.*)$ ]]; then
        flag=${BASH_REMATCH[1]}
        word=${word#"$flag"}
      fi
      word="'${word//\'/\'\\\'\'}'"
    fi
    line+=" $flag$word"
  done
  echo "${line# }"
}

# Runs a command; under --dry-run prints it instead.
run() {
  if [ -n "$dry_run" ]; then
    quoted "$@"
  else
    "$@"
  fi
}

# Checks that a program is there; not under --dry-run, which needs none.
need_program() {
  [ -n "$dry_run" ] || command -v "$1" >/dev/null ||
    die "$1 is not installed; docs/launch.md says where to get gcloud, kubectl, docker, xpk"
}

# TPU: name, GKE's accelerator label, the TPU VM type's prefix, what that type counts
# in a chip, the TPU VM's runtime, and the topologies that both offer. Of several
# topologies with as many chips only the one is here that the TPU VM type means.
tpu_slices() {
  cat <<'TABLE'
v5e tpu-v5-lite-podslice v5litepod 1 v2-alpha-tpuv5-lite 1x1 2x2 2x4 4x4 4x8 8x8 8x16 16x16
v6e tpu-v6e-slice v6e 1 v2-alpha-tpuv6e 1x1 2x2 2x4 4x4 4x8 8x8 8x16 16x16
v5p tpu-v5p-slice v5p 2 v2-alpha-tpuv5 2x2x1 2x2x2 2x2x4 2x4x4 4x4x4 4x4x8 4x8x8 8x8x8 8x8x12 8x8x16 8x16x16 16x16x16
v4 tpu-v4-podslice v4 2 tpu-ubuntu2204-base 2x2x1 2x2x2 2x2x4 2x4x4 4x4x4 4x4x8 4x8x8 8x8x8 8x8x16 8x16x16
TABLE
}

# GPU: name, GKE's accelerator label, GPUs in a whole node.
gpu_nodes() {
  cat <<'TABLE'
a100-80gb nvidia-a100-80gb 8
h100 nvidia-h100-80gb 8
h100-mega nvidia-h100-mega-80gb 8
h200 nvidia-h200-141gb 8
b200 nvidia-b200 8
TABLE
}

# read_target TARGET, as `animatrix plan --target` has it: tpu:v5p:4x4x4, gpu:h100:16.
# Sets target_kind, chips, hosts, chips_per_host (the last two of one slice),
# gke_accelerator, topology, tpu_type and tpu_runtime.
# shellcheck disable=SC2034  # they are the caller's
read_target() {
  local chip size
  IFS=: read -r target_kind chip size <<<"$1"
  case "$target_kind" in
    tpu) read_tpu "$1" "$chip" "$size" ;;
    gpu) read_gpu "$1" "$chip" "$size" ;;
    *) die "--target=$1: expected tpu:CHIP:TOPOLOGY or gpu:CHIP:COUNT" ;;
  esac
}

# shellcheck disable=SC2034
read_tpu() {
  local row name prefix counts known
  row=$(tpu_slices | grep "^$2 ") ||
    die "--target=$1: no TPU '$2'; there are $(names_of tpu_slices)"
  read -r name gke_accelerator prefix counts tpu_runtime known <<<"$row"
  [[ -n $3 && " $known " == *" $3 "* ]] ||
    die "--target=$1: $name has no topology '$3'; there are $known"
  topology=$3
  chips=$((${topology//x/*}))
  tpu_type="$prefix-$((chips * counts))"
  case "$topology" in
    1x1 | 2x4) chips_per_host=$chips ;; # these are whole on one host
    *) chips_per_host=4 ;;
  esac
  hosts=$((chips / chips_per_host))
}

# shellcheck disable=SC2034
read_gpu() {
  local row name per_node
  row=$(gpu_nodes | grep "^$2 ") ||
    die "--target=$1: no GPU '$2'; there are $(names_of gpu_nodes)"
  read -r name gke_accelerator per_node <<<"$row"
  [[ $3 =~ ^[1-9][0-9]*$ ]] || die "--target=$1: expected a number of GPUs, got '$3'"
  chips=$3
  chips_per_host=$((chips < per_node ? chips : per_node))
  hosts=$((chips / chips_per_host))
  [ $((hosts * chips_per_host)) = "$chips" ] ||
    die "--target=$1: $name comes $per_node to a node; $chips is not a multiple"
}

names_of() {
  "$1" | cut -d' ' -f1 | paste -sd' ' -
}

# yaml_list WORD...: a list in YAML's flow form, of strings. Kubernetes would read
# $(NAME) in a command as a variable: $$(NAME) is what it gives back as $(NAME).
yaml_list() {
  local word list=""
  for word in "$@"; do
    word=${word//\\/\\\\}
    word=${word//\"/\\\"}
    word=${word//\$(/\$\$(}
    list+=", \"$word\""
  done
  echo "[${list#, }]"
}

# filled FILE NAME...: a template with each ${NAME} replaced by the variable's value. A
# line that ends in "#? NAME" is there only if that variable is not empty.
filled() {
  local file=$1 line key
  shift
  while IFS= read -r line; do
    if [[ $line =~ ^(.*[^ ])\ +#\?\ ([a-z_]+)$ ]]; then
      key=${BASH_REMATCH[2]}
      [ -n "${!key}" ] || continue
      line=${BASH_REMATCH[1]}
    fi
    for key in "$@"; do
      # Quoted: in a replacement bash 5.2 would read & as what was matched.
      [[ $line != *"\${$key}"* ]] || line=${line//"\${$key}"/"${!key}"}
    done
    printf '%s\n' "$line"
  done <"$file"
}
