"""The rows of OWASP ASVS 5.0 that bear on this product, and what shows each: tests, or a written reason.

A test is named by its file under ``tests/`` and its function; its docstring (or its file's) names the row. A text
with a space in it is a reason: why there is nothing to show yet, or nothing that a test could show.
"""

from __future__ import annotations

ACCOUNTS = "there are no people's accounts yet: sign-in, sessions and their pages come with the dashboard"
FEDERATION = "nobody signs in through another service, and no token of another issuer is accepted"
NO_OAUTH = "there is no OAuth yet: the device sign-in of the command line comes with the dashboard"
NO_TOKENS = "API keys are opaque: nothing in them is believed, so there is no signature, issuer or audience to check"
DOCUMENTED = "it is a matter of the documentation: docs/explanation/security.md"

MATRIX = "contract/test_authorization.py::test_every_route_answers_as_the_table_says"
SHAPE = "contract/test_error_shape.py::test_every_error_of_every_route_has_the_one_shape"
CANARY = "contract/test_canary.py::test_no_secret_is_anywhere_afterwards"
APART = "contract/test_apart.py::test_another_tenants_object_is_a_random_id"
FUZZER = "contract/test_openapi_fuzzing.py::test_the_fuzzer_finds_nothing"
FAILURE = "contract/test_error_shape.py::test_a_failure_of_ours_tells_nothing_of_itself"
GUESSES = "contract/test_error_shape.py::test_who_guesses_too_often_is_slowed_down_in_the_same_shape"
CALLS_NOBODY = "contract/test_defaults.py::test_the_server_calls_nobody"
FRESH = "contract/test_defaults.py::test_a_fresh_database_lets_nobody_in"
BROWSERS = "gate/test_asgi.py::test_every_answer_says_what_browsers_must_not_do"
STRANGE_CREDENTIAL = "contract/test_bad_input.py::test_a_strange_credential_is_refused"
STRANGE_PATH = "contract/test_bad_input.py::test_a_strange_path_is_no_way_around"
NO_METHOD = "contract/test_authorization.py::test_no_other_method_does_anything"
TIMING = "contract/test_timing_over_http.py::test_an_unknown_key_and_a_wrong_secret_are_one"
GENERATED = "test_keyformat.py::test_generated_parts_are_fresh_and_of_the_format"
LOG_LINE = "serving/test_logging.py::test_a_line_says_when_what_and_for_which_request"
COUNTED = "usage/test_reconciliation.py::test_totals_equal_decisions_over_stops_and_starts"

ROWS: dict[str, tuple[str, ...]] = {
    "1.2.1": (
        "test_docs_page.py::test_text_is_escaped",
        "cli/test_api_keys.py::test_text_of_others_cannot_steer_the_terminal",
    ),
    "1.2.4": (APART, STRANGE_CREDENTIAL),
    "1.2.10": ("nothing is exported as CSV",),
    "1.3.6": (CALLS_NOBODY,),
    "1.3.12": (STRANGE_CREDENTIAL, "test_keyformat.py::test_a_hostile_text_is_scanned_in_linear_time"),
    "2.2.1": (
        FUZZER,
        "contract/test_bad_input.py::test_a_body_that_is_no_object_is_refused_everywhere",
        "contract/test_bad_input.py::test_json_that_cannot_be_kept_is_refused_everywhere",
        "contract/test_bad_input.py::test_a_strange_query_is_refused_by_its_name",
        "contract/test_bad_input.py::test_a_number_has_bounds",
    ),
    "2.3.3": (
        "api_keys/test_commits.py::test_a_commit_that_fails_answers_5xx_and_changes_nothing",
        "audit/test_recording.py::test_a_change_that_is_rolled_back_leaves_no_row",
    ),
    "2.3.4": ("api_keys/test_commits.py::test_changes_to_one_key_come_one_after_another",),
    "2.4.1": (GUESSES, "gate/test_guesses.py::test_thirty_a_minute_then_one_a_second"),
    "3.3.1": (ACCOUNTS,),
    "3.3.2": (ACCOUNTS,),
    "3.3.3": (ACCOUNTS,),
    "3.3.4": (ACCOUNTS,),
    "3.4.1": ("TLS ends at a proxy in front of the server, and this header is the proxy's to send",),
    "3.4.2": ("gate/test_cors.py::test_other_origins_get_nothing",),
    "3.4.3": (BROWSERS, "test_docs_page.py::test_it_loads_nothing_and_runs_nothing"),
    "3.4.4": (SHAPE,),
    "3.4.5": (SHAPE,),
    "3.4.6": (SHAPE, BROWSERS),
    "3.5.1": ("contract/test_bad_input.py::test_a_body_is_json_and_says_so_or_says_nothing",),
    "3.5.3": (NO_METHOD,),
    "3.7.2": ("nothing redirects",),
    "4.1.1": (MATRIX, SHAPE),
    "4.1.3": (
        "gate/test_request.py::test_the_client_behind_proxies",
        "gate/test_decision.py::test_the_header_chooses_among_granted_tenants_only",
    ),
    "4.1.4": (NO_METHOD, "gate/test_asgi.py::test_other_methods"),
    "4.1.5": ("level 3, left out: a key in a header over TLS is what every client of such an API can send",),
    "6.1.1": ("gate/test_guesses.py::test_who_stops_is_free_within_a_minute",),
    "6.1.3": (DOCUMENTED,),
    "6.2.1": (ACCOUNTS,),
    "6.2.3": (ACCOUNTS,),
    "6.2.4": (ACCOUNTS,),
    "6.2.5": (ACCOUNTS,),
    "6.2.8": (ACCOUNTS,),
    "6.2.9": (ACCOUNTS,),
    "6.2.12": (ACCOUNTS,),
    "6.3.1": (GUESSES, "gate/test_gate.py::test_known_good_keys_pass_while_guesses_are_slowed"),
    "6.3.2": (FRESH, "contract/test_defaults.py::test_no_word_is_a_key"),
    "6.3.3": (ACCOUNTS,),
    "6.3.4": ("contract/test_authorization.py::test_the_public_list_only_shrinks",),
    "6.3.7": (ACCOUNTS,),
    "6.3.8": (TIMING, "api_keys/test_timing.py::test_unknown_and_wrong_take_the_same_time_to_load"),
    "6.4.1": (FRESH,),
    "6.4.3": (ACCOUNTS,),
    "6.4.6": (ACCOUNTS,),
    "6.5.1": (ACCOUNTS,),
    "6.5.2": (GENERATED, "api_keys/test_source.py::test_a_copy_of_the_database_authenticates_nobody"),
    "6.5.3": (GENERATED,),
    "6.5.5": (ACCOUNTS,),
    "6.6.2": (NO_OAUTH,),
    "6.6.3": (NO_OAUTH,),
    "6.8.1": (FEDERATION,),
    "7.1.1": (ACCOUNTS,),
    "7.2.2": (ACCOUNTS,),
    "7.2.3": (ACCOUNTS,),
    "7.2.4": (ACCOUNTS,),
    "7.3.1": (ACCOUNTS,),
    "7.3.2": (ACCOUNTS,),
    "7.4.1": (ACCOUNTS,),
    "7.4.2": (ACCOUNTS,),
    "7.4.3": (ACCOUNTS,),
    "7.4.5": (ACCOUNTS,),
    "7.5.1": (ACCOUNTS,),
    "7.5.2": (ACCOUNTS,),
    "7.5.3": (ACCOUNTS,),
    "8.1.1": (
        "contract/test_authorization.py::test_the_table_has_every_route_and_no_other",
        "contract/test_docs.py::test_every_scope_and_preset_is_in_the_permissions",
    ),
    "8.2.1": (MATRIX, "contract/test_authorization.py::test_the_gate_decides_by_the_table"),
    "8.2.2": (MATRIX, APART, "api_keys/test_who_may_what.py::test_the_table"),
    "8.2.3": ("contract/test_bad_input.py::test_a_field_that_nobody_knows_is_refused",),
    "8.2.4": (
        MATRIX,
        "gate/test_decision.py::test_allowed_addresses",
        "gate/test_gate.py::test_a_long_poll_looks_again",
    ),
    "8.3.1": (
        STRANGE_PATH,
        "api_keys/test_permissions.py::test_the_service_trusts_no_gate",
        "gate/test_granian.py::test_paths_on_the_wire",
    ),
    "8.3.2": (
        "gate/test_cache.py::test_no_order_of_events_brings_a_stale_record_back",
        "serving/test_operators.py::test_every_change_is_in_effect_when_its_command_returns",
    ),
    "8.3.3": ("contract/test_apart.py::test_a_gateway_finds_its_own_tenants_keys_only",),
    "8.4.1": (
        APART,
        "contract/test_apart.py::test_a_stranger_changes_nothing",
        "contract/test_apart.py::test_no_list_tells_of_others",
        "contract/test_apart.py::test_a_cursor_opens_no_other_list",
    ),
    "9.1.1": (
        "test_pagination.py::test_every_altered_character_is_noticed",
        "api_keys/test_source.py::test_a_planted_row_authenticates_nobody",
    ),
    "9.1.2": (NO_TOKENS,),
    "9.1.3": (CALLS_NOBODY,),
    "9.2.1": (MATRIX,),
    "9.2.2": (MATRIX,),
    "9.2.3": (NO_TOKENS,),
    "9.2.4": (NO_TOKENS,),
    "10.3.5": ("level 3, left out: keys may be bound to addresses (allowed_ips), not to a certificate",),
    "10.4.4": (NO_OAUTH,),
    "10.4.5": (NO_OAUTH,),
    "10.4.8": (NO_OAUTH,),
    "10.4.9": (NO_OAUTH,),
    "10.7.2": (NO_OAUTH,),
    "11.1.1": (DOCUMENTED,),
    "11.1.2": (DOCUMENTED,),
    "11.2.1": ("only hmac and hashlib of the standard library are used, which are OpenSSL's",),
    "11.2.2": ("api_keys/test_source.py::test_a_key_used_under_an_old_version_is_retagged",),
    "11.2.3": (GENERATED,),
    "11.2.4": (TIMING,),
    "11.4.2": (ACCOUNTS,),
    "11.5.1": (GENERATED,),
    "11.6.1": (NO_TOKENS,),
    "12.2.1": ("serving/test_starting.py::test_listening_beyond_this_machine_without_tls_is_warned_about",),
    "12.3.2": ("the SDK's HTTP client checks certificates by default, and no setting of ours switches that off",),
    "13.2.4": (CALLS_NOBODY,),
    "13.3.1": ("test_settings.py::test_the_default_secret_key_is_made_for_its_owner_alone",),
    "13.3.4": (
        "serving/test_starting.py::test_a_lost_secret_key_is_not_replaced_in_silence",
        "api_keys/test_source.py::test_a_key_used_under_an_old_version_is_retagged",
    ),
    "13.4.2": (FAILURE,),
    "13.4.5": ("contract/test_authorization.py::test_unknown_paths_need_a_key_too",),
    "14.2.1": (CANARY, "contract/test_bad_input.py::test_a_strange_query_is_refused_by_its_name"),
    "14.2.2": (
        "contract/test_canary.py::test_no_secret_stays_in_memory",
        "gate/test_cache.py::test_no_secret_stands_in_memory",
    ),
    "14.2.6": (CANARY,),
    "14.3.2": (SHAPE, BROWSERS),
    "14.3.3": ("nothing of ours runs in a browser: the one page has no script",),
    "15.1.2": ("uv.lock lists every component with its version and hash",),
    "15.2.1": ("it is a habit, not a state of the tree: `uv lock --upgrade` with each release",),
    "15.3.1": ("contract/test_apart.py::test_no_list_tells_of_others",),
    "15.3.3": ("contract/test_bad_input.py::test_a_field_that_nobody_knows_is_refused",),
    "15.3.4": ("gate/test_request.py::test_the_client_behind_proxies",),
    "15.4.1": ("caches belong to one event loop, and no thread but its own touches them",),
    "15.4.2": ("api_keys/test_commits.py::test_no_change_slips_in_behind_a_revoke",),
    "16.1.1": (DOCUMENTED,),
    "16.2.1": (LOG_LINE,),
    "16.2.2": (LOG_LINE, MATRIX),
    "16.2.5": (CANARY, "serving/test_logging.py::test_no_key_is_ever_logged"),
    "16.3.1": (COUNTED,),
    "16.3.2": (COUNTED,),
    "16.4.1": ("serving/test_logging.py::test_nobody_forges_a_line_or_steers_a_terminal",),
    "16.4.2": ("audit/test_verify.py::test_an_edited_row_is_named",),
    "16.4.3": (
        "logs are lines on standard error, for the operator's collector; the audit log has heads to keep elsewhere",
    ),
    "16.5.1": (FAILURE, SHAPE),
    "16.5.2": ("gate/test_asgi.py::test_what_the_database_does_not_answer_is_503",),
    "16.5.3": (FAILURE, "gate/test_gate.py::test_a_database_that_is_away_lets_nobody_new_in"),
    "16.5.4": (FAILURE, FUZZER),
}
