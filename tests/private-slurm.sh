#!/bin/sh
# A Slurm of its own on this machine, for tests: all of it lies in one folder, and several run beside each other.
#   sh tests/private-slurm.sh start FOLDER    starts it, waits until jobs can run, and prints what to export
#   sh tests/private-slurm.sh stop FOLDER     ends its jobs and its daemons; the folder stays
# Needs root and Debian's slurmctld, slurmd, slurm-client and munge; neither systemd, nor cgroups, nor a network, nor a
# host name that resolves. The folder (not one with spaces, and one that the user munge can enter) gets:
#   slurm.conf, bin/   what the line that is printed points to      jobs.txt   a line for each job that has ended
#   *.log              what the daemons say                         state/, spool/, munge/, *.pid   their own
# There is no accounting: a status is asked of squeue. At least 4 processors are offered, however many there are; memory
# is shared out by what jobs ask for, but not watched.
set -eu
usage="Usage: sh tests/private-slurm.sh start FOLDER (or stop FOLDER)"
daemons="munged slurmctld slurmd"

fail() {
    echo "$*" >&2
    exit 1
}

# The first of two neighbouring ports on which nothing listens, below those that the system gives away by itself.
free_ports() {
    while :; do
        port=$((20000 + $(od -An -N4 -tu4 /dev/urandom) % 5000 * 2))
        grep -qE "$(printf ':(%04X|%04X) ' "$port" $((port + 1)))" /proc/net/tcp* || break
    done
    echo "$port"
}

write_configuration() {
    port=$(free_ports)
    host=$(uname -n)
    host=${host%%.*}
    processors=$(nproc)
    [ "$processors" -ge 4 ] || processors=4
    memory=$(awk '$1 == "MemTotal:" { print int($2 / 1024) }' /proc/meminfo)
    cat >"$folder/slurm.conf" <<END
ClusterName=private
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/state/slurmctld.pid
SlurmdPidFile=$folder/spool/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/jobs.txt
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=$((memory / processors))
# Jobs start as soon as they are submitted and a place is free, stay known for an hour, and end 2 s after scancel.
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
MinJobAge=3600
KillWait=2
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=node NodeHostname=$host NodeAddr=127.0.0.1 CPUs=$processors RealMemory=$memory
PartitionName=debug Nodes=node Default=YES MaxTime=INFINITE
END
}

# Snakemake's plugin takes every SLURM_ variable from the environment in which a job calls srun, SLURM_CONF with them.
write_srun() {
    printf '#!/bin/sh\nSLURM_CONF="%s" exec %s "$@"\n' "$SLURM_CONF" "$(command -v srun)" >"$folder/bin/srun"
    chmod +x "$folder/bin/srun"
}

# Whether a daemon of this folder runs; neither a dead one that nobody has waited for does, nor another with its number.
runs() {
    [ -s "$folder/$1.pid" ] && grep -qsF "$folder/" "/proc/$(cat "$folder/$1.pid")/cmdline"
}

# Start a daemon that stays in the foreground, with its log below the folder.
launch() {
    name=$1
    shift
    "$@" </dev/null >>"$folder/$name.log" 2>&1 &
    echo $! >"$folder/$name.pid"
    until runs "$name" || [ ! -e "/proc/$!/exe" ]; do sleep 0.05; done # at first it is a copy of this shell
}

# Poll until a command succeeds; one sentence if a daemon dies before.
until_true() {
    launched=$1
    shift
    until "$@" >/dev/null 2>&1; do
        for name in $launched; do
            runs "$name" || fail "$name has ended; its last words: $(tail -n 1 "$folder/$name.log")"
        done
        sleep 0.05
    done
}

is_idle() {
    [ "$(sinfo --noheader --format=%T)" = idle ]
}

start() {
    [ "$(id -u)" = 0 ] || fail "A private Slurm needs root."
    for program in munged slurmctld slurmd sbatch setpriv; do
        command -v $program >/dev/null || fail "$program is missing: sh tests/system-packages.sh installs it on Debian."
    done
    for name in $daemons; do
        if runs "$name"; then fail "A private Slurm runs in $folder already."; fi
    done
    case $folder in *[[:space:]]*) fail "Slurm cannot have a space in its folder: $folder" ;; esac
    as_munge="setpriv --reuid=munge --regid=munge --clear-groups"
    $as_munge test -x "$folder" || fail "The user munge cannot enter $folder: choose another folder."
    mkdir -p "$folder/state" "$folder/spool" "$folder/munge" "$folder/bin"
    chown munge:munge "$folder/munge"
    write_configuration
    write_srun
    # shellcheck disable=SC2064 # whatever fails from here on, nothing stays running
    trap stop EXIT
    $as_munge sh -c "umask 077 && head -c 128 /dev/urandom >'$folder/munge/key'"
    launch munged $as_munge munged --foreground --socket="$folder/munge/socket" --key-file="$folder/munge/key" \
        --pid-file="$folder/munge/pid" --seed-file="$folder/munge/seed"
    until_true munged munge --no-input --socket="$folder/munge/socket"
    launch slurmctld slurmctld -D -f "$folder/slurm.conf"
    launch slurmd slurmd -D -N node -f "$folder/slurm.conf"
    until_true "$daemons" is_idle
    trap - EXIT
    echo "export SLURM_CONF=$SLURM_CONF PATH=$folder/bin:\$PATH"
}

has_no_jobs() {
    [ -z "$(squeue --noheader)" ]
}

stop() {
    if runs slurmctld && runs slurmd; then
        squeue --noheader --format=%A | xargs -r scancel
        until_true "$daemons" has_no_jobs
    fi
    for name in slurmd slurmctld munged; do
        while runs "$name"; do
            kill "$(cat "$folder/$name.pid")" 2>/dev/null || true
            sleep 0.05
        done
    done
}

[ $# = 2 ] || fail "$usage"
mkdir -p "$2"
folder=$(cd "$2" && pwd -P)
export SLURM_CONF="$folder/slurm.conf"
case $1 in
    start) start ;;
    stop) stop ;;
    *) fail "$usage" ;;
esac
