#!/bin/sh
# Checks deploy/kubernetes: the chart with helm, what it makes with the schemas of Kubernetes, and that the plain
# manifests are what it makes. With `write` they are written anew.
set -eu
cd "$(dirname "$0")/../.."
PATH=$PWD/.cache/kubernetes:$PATH
chart=deploy/kubernetes/chart
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

conform() {
    kubeconform -strict -summary -verbose \
        -schema-location "$PWD/.cache/kubernetes/schemas/{{.ResourceKind}}{{.KindSuffix}}.json" "$@"
}

render() { # name, values
    name=$1
    shift
    helm template influxdb-backup "$chart" --namespace backup --kube-version 1.34.2 "$@" >"$made/$name.yaml"
}

refused() { # what it says, values
    told=$1
    shift
    if helm template x "$chart" --kube-version 1.34.2 "$@" >"$made/refused" 2>&1 || ! grep -q "$told" "$made/refused"; then
        cat "$made/refused"
        echo "this should have been refused with: $told" >&2
        exit 1
    fi
}

example=deploy/kubernetes/values.example.yaml
helm lint --strict "$chart" --values "$example"
render plain --values "$example"
render servicemonitor --values "$example" --set serviceMonitor.enabled=true
render configmap --values "$example" --set jobsIn=ConfigMap,shards=12,passwords=logins,maxRuns=4,maxRunsPerServer=2 \
    --set env.BACKUP_PUBLIC_URL=https://backups.example.org,storage.className=fast,networkPolicy.enabled=false \
    --set nodeSelector.disk=ssd,podAnnotations.team=db
render existing --set existingJobs=mine
conform "$made"/*.yaml
refused "there is no job"
refused "there is at least one" --values "$example" --set shards=0
refused "write Secret or ConfigMap" --values "$example" --set jobsIn=Volume

# What has a fault is noticed, else the schemas would prove nothing.
sed 's/readOnlyRootFilesystem/readOnlyRoot/' "$made/plain.yaml" >"$made/wrong.yaml"
if conform "$made/wrong.yaml" >/dev/null; then
    echo "kubeconform accepts a key that does not exist" >&2
    exit 1
fi

manifest=deploy/kubernetes/manifests/influxdb-backup.yaml
plain() {
    echo "# The chart with values.example.yaml, for who has no helm: kubectl --namespace backup apply -f FOLDER"
    echo "# Change the jobs in the Secret. Made by tests/support/kubernetes.sh write."
    sed '/^ *# Source: /d; /helm.sh/d' "$made/plain.yaml"
}
monitor() {
    echo "# For the operator of Prometheus, whose kinds have to be there."
    sed -n '/^kind: ServiceMonitor/,$p' "$made/servicemonitor.yaml" | sed '/^---/,$d' | sed '1i apiVersion: monitoring.coreos.com/v1'
}
if [ "${1:-}" = write ]; then
    plain >"$manifest"
    monitor >deploy/kubernetes/manifests/servicemonitor.yaml
fi
plain | diff -u "$manifest" -
monitor | diff -u deploy/kubernetes/manifests/servicemonitor.yaml -
conform deploy/kubernetes/manifests
