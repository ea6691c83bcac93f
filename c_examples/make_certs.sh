#!/bin/sh
# Makes certificates to try wss:// with, by the openssl tool: make_certs.sh DIR [NAME...]
#
#   DIR/ca.pem                 the authority; what clients trust (ws_cat --ca) and servers ask clients for (--tls-client-ca)
#   DIR/server.pem, .key       a server at localhost, 127.0.0.1 and [::1]
#   DIR/client.pem, .key       a client, "device 7"
#   DIR/NAME.pem, .key         a server of each further NAME
#   DIR/server.pin             the pin of the server's key (ws_cat --pin)
#
# They are for tests: the keys lie beside the certificates, and everything is valid for ten years.
set -eu

dir=${1:?usage: make_certs.sh DIR [NAME...]}
shift
mkdir -p "$dir"
cd "$dir"
umask 077

# $1: file name, $2: subject, $3: extensions
certificate() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null
    openssl req -new -key "$1.key" -subj "$2" -out "$1.csr" 2>/dev/null
    printf '%s\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n' "$3" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -sha256 -extfile "$1.ext" \
        -out "$1.pem" 2>/dev/null
    rm "$1.csr" "$1.ext"
}

openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key 2>/dev/null
openssl req -x509 -new -key ca.key -subj '/O=libws tests/CN=Test CA' -days 3650 -sha256 \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' -out ca.pem 2>/dev/null

certificate server '/CN=localhost' 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1
extendedKeyUsage=serverAuth'
certificate client '/O=libws tests/CN=device 7' 'extendedKeyUsage=clientAuth'
for name in "$@"; do
    certificate "$name" "/CN=$name" "subjectAltName=DNS:$name
extendedKeyUsage=serverAuth"
done

pin=$(openssl pkey -in server.key -pubout -outform DER | openssl dgst -sha256 -binary | openssl base64)
echo "sha256/$pin" >server.pin
