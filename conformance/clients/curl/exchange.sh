#!/bin/sh
# curl: one token. What is in the environment is what a person would write out.
set -eu
case "$AUTH" in
  post) set -- --data-urlencode "client_id=$CLIENT_ID" --data-urlencode "client_secret=$CLIENT_SECRET" ;;
  basic) set -- --user "$CLIENT_ID:$CLIENT_SECRET" ;;
  *) set -- ;;
esac
[ -z "$SCOPE" ] || set -- "$@" --data-urlencode "scope=$SCOPE"
[ -z "$ACTOR_TOKEN" ] || set -- "$@" --data-urlencode "actor_token=$ACTOR_TOKEN" --data-urlencode "actor_token_type=$ACTOR_TOKEN_TYPE"
[ -z "$CA" ] || set -- "$@" --cacert "$CA"
[ -z "$REQUESTED_TOKEN_USE" ] || set -- "$@" --data-urlencode "requested_token_use=$REQUESTED_TOKEN_USE"

case "$GRANT" in
  *:token-exchange)
    # recipe
    curl --silent --show-error "$ISSUER/token" "$@" \
      --data-urlencode grant_type=urn:ietf:params:oauth:grant-type:token-exchange \
      --data-urlencode subject_token@"$SUBJECT_TOKEN_FILE" \
      --data-urlencode subject_token_type="$SUBJECT_TOKEN_TYPE" \
      --data-urlencode resource="$RESOURCE"
    # end
    ;;
  *:jwt-bearer)
    # recipe jwt-bearer
    curl --silent --show-error "$ISSUER/token" "$@" \
      --data-urlencode grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer \
      --data-urlencode assertion@"$ASSERTION_FILE" \
      --data-urlencode resource="$RESOURCE"
    # end
    ;;
  client_credentials)
    # recipe client credentials
    curl --silent --show-error "$ISSUER/token" "$@" \
      --data-urlencode grant_type=client_credentials \
      --data-urlencode resource="$RESOURCE"
    # end
    ;;
esac
