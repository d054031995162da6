#!/bin/sh
# Provides the programs that tests run, in .cache, each once:
#
#   tests/support/programs.sh influxd VERSION   .cache/influxd/VERSION/influxd; `all`: those of influxd_versions
#   tests/support/programs.sh peers             .cache/peers/influx and influx_inspect, which a bench compares with
#   tests/support/programs.sh victorialogs      .cache/victorialogs/victoria-logs, which takes Loki's pushes
#   tests/support/programs.sh kubernetes        .cache/kubernetes/helm, kubeconform and schemas, for deploy/kubernetes
#   tests/support/programs.sh cluster           .cache/cluster/: an API server of Kubernetes, and what belongs to one
#   tests/support/programs.sh versitygw         .cache/versitygw/versitygw, an object store that speaks S3
#
# InfluxDB 1.6 is Debian's package; the others are built from the Go module proxy, with any Go that their go.mod
# allows. From 1.12 on they link a library of Flux that is written in Rust: cargo is needed, too. VERSION-uint64 is
# a build that can hold unsigned integers. A program that cannot be had is an error. What is needed to build them is
# looked for by `demo/prepare.sh python3 versions`, before anything is built.
set -eu
cd "$(dirname "$0")/../.."
cache=$PWD/.cache

fail() {
    echo "$*" >&2
    exit 1
}

need_go() {
    PATH=$PATH:/usr/local/go/bin:/usr/lib/go/bin
    (cd / && go version)
}

need_cargo() {
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    cargo --version
    # The library names one old Rust, of which rustup would want exactly that; any newer one builds it.
    if command -v rustup >/dev/null; then
        RUSTUP_TOOLCHAIN=$(rustup default | cut -d' ' -f1)
        export RUSTUP_TOOLCHAIN
    fi
    # The library also makes warnings errors, and a newer compiler has new ones.
    mkdir -p "$cache/tools"
    printf '%s\n' '#!/bin/sh' 'case "$*" in *--cap-lints*) exec "$@" ;; *) exec "$@" --cap-lints=warn ;; esac' \
        >"$cache/tools/rustc-wrapper"
    chmod +x "$cache/tools/rustc-wrapper"
    export RUSTC_WRAPPER="$cache/tools/rustc-wrapper"
}

debian_influxd() {
    [ -x /usr/bin/influxd ] || fail "InfluxDB $1 is Debian's package influxdb, and it is not installed"
    /usr/bin/influxd version | grep -q "v$1\." || fail "Debian's influxd is not $1: $(/usr/bin/influxd version)"
    mkdir -p "$cache/influxd/$1"
    ln -sf /usr/bin/influxd "$cache/influxd/$1/influxd"
}

build_influxd() { # version, a folder
    number=${1%-uint64}
    tags=${1#"$number"}
    need_go
    case $number in
    1.[0-9].*) ;; # before 1.9: Go alone
    *)
        need_cargo
        GOBIN=$cache/tools go install github.com/influxdata/pkg-config@v0.2.14
        export PKG_CONFIG="$cache/tools/pkg-config"
        ;;
    esac
    # As in a release, /ping reports the version.
    GOBIN=$2 go install -tags "${tags#-}" \
        -ldflags "-X main.version=$number -X main.branch=v$number -X main.commit=unknown" \
        "github.com/influxdata/influxdb/cmd/influxd@v$number"
}

provide_influxd() {
    [ -x "$cache/influxd/$1/influxd" ] && return
    if [ "$1" = 1.6 ]; then
        debian_influxd "$1"
    else
        echo "building influxd $1"
        new=$cache/influxd/$1.new
        (build_influxd "$1" "$new") || fail "influxd $1 could not be built with this Go or Rust, see above"
        mv -T "$new" "$cache/influxd/$1"
    fi
}

provide_victorialogs() {
    [ -x "$cache/victorialogs/victoria-logs" ] && return
    echo "building VictoriaLogs"
    need_go
    mkdir -p "$cache/victorialogs"
    (cd tests/support/victorialogs && go build -o "$cache/victorialogs/new" \
        github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs) || fail "VictoriaLogs could not be built: see above"
    mv "$cache/victorialogs/new" "$cache/victorialogs/victoria-logs"
}

provide_peers() { # what comes with InfluxDB to copy a database by hand; Debian has no influx_inspect
    [ -x "$cache/peers/influx_inspect" ] && return
    echo "building influx and influx_inspect $1"
    need_go
    GOBIN=$cache/peers.new go install "github.com/influxdata/influxdb/cmd/influx@v$1" \
        "github.com/influxdata/influxdb/cmd/influx_inspect@v$1" || fail "they could not be built: see above"
    mv -T "$cache/peers.new" "$cache/peers"
}

provide_versitygw() {
    [ -x "$cache/versitygw/versitygw" ] && return
    echo "building versitygw"
    need_go
    GOBIN=$cache/versitygw.new go install github.com/versity/versitygw/cmd/versitygw@v1.8.0 ||
        fail "versitygw could not be built: see above"
    mv -T "$cache/versitygw.new" "$cache/versitygw"
}

kubernetes=$(sed -n 's|^\tk8s.io/kubernetes \(v[^ ]*\).*|\1|p' tests/support/cluster/go.mod)
operator=v0.85.0

provide_kubernetes() { # helm, kubeconform, and from what Kubernetes ships the schemas of the kinds that we use
    [ -d "$cache/kubernetes/schemas" ] && return
    echo "building helm and kubeconform"
    need_go
    GOBIN=$cache/kubernetes.new go install github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0 &&
        GOBIN=$cache/kubernetes.new go install helm.sh/helm/v3/cmd/helm@v3.19.4 ||
        fail "they could not be built: see above"
    .venv/bin/python -m tests.support.kubernetes_schemas \
        "$(module "k8s.io/kubernetes@$kubernetes")/api/openapi-spec/swagger.json" \
        "$(module "github.com/prometheus-operator/prometheus-operator@$operator")/$crds/$monitors" \
        "$cache/kubernetes.new/schemas"
    rm -rf "$cache/kubernetes"
    mv -T "$cache/kubernetes.new" "$cache/kubernetes"
}

provide_cluster() { # etcd, the API server with controllers and scheduler, kubectl; and kwok, which says that pods run
    [ -d "$cache/cluster" ] && return
    echo "building Kubernetes $kubernetes"
    need_go
    rm -rf "$cache/cluster.new"
    number=${kubernetes#v1.} version=k8s.io/component-base/version
    # As in a release, /version tells it: a chart asks for it.
    (cd tests/support/cluster && CGO_ENABLED=0 go build -o "$cache/cluster.new/" -ldflags "-s -w \
        -X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${number%.*}" tool) ||
        fail "it could not be built: see above"
    mv "$cache/cluster.new/server" "$cache/cluster.new/etcd"
    cp "$(module "github.com/prometheus-operator/prometheus-operator@$operator")/$crds/$monitors" \
        "$cache/cluster.new/servicemonitors.yaml"
    mv -T "$cache/cluster.new" "$cache/cluster"
}

crds=example/prometheus-operator-crd monitors=monitoring.coreos.com_servicemonitors.yaml

module() { # the folder of a Go module's source
    (cd / && go mod download -json "$1") | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

case "$*" in
kubernetes) provide_kubernetes ;;
cluster) provide_cluster ;;
"influxd all") for version in $(cat tests/support/influxd_versions); do provide_influxd "$version"; done ;;
"influxd "*) provide_influxd "$2" ;;
victorialogs) provide_victorialogs ;;
peers) provide_peers 1.8.10 ;;
versitygw) provide_versitygw ;;
*) fail "usage: $0 influxd VERSION|all, or $0 victorialogs|versitygw|peers|kubernetes|cluster" ;;
esac
