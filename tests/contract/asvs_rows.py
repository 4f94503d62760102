"""The rows of OWASP ASVS 5.0 that bear on this product, and what shows each: tests, or a written reason.

A test is named by its file under ``tests/`` and its function; its docstring (or its file's) names the row. A text
with a space in it is a reason: why there is nothing to show yet, or nothing that a test could show.
"""

from __future__ import annotations

NO_SECOND_FACTOR = (
    "there is no second factor yet: passwords are long and common ones refused, and sensitive steps ask again"
)
FEDERATION = "nobody signs in through another service, and no token of another issuer is accepted"
NO_REFRESH = "no refresh token is issued: the device sign-in ends with an API key, which expires and can be revoked"
NO_TOKENS = "API keys are opaque: nothing in them is believed, so there is no signature, issuer or audience to check"
DOCUMENTED = "it is a matter of the documentation: docs/explanation/security.md"

LOST = "dashboard/test_pages.py::test_a_browser_that_is_lost_gets_a_page"
PAGES = "contract/test_page_access.py::test_every_page_answers_as_the_table_says"
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
        "users/test_pages.py::test_a_name_that_is_markup_is_text",
        "dashboard/test_api_keys.py::test_a_keys_name_is_text_everywhere",
        "dashboard/test_pages.py::test_names_are_text",
        "dashboard/test_jobs_pages.py::test_what_a_job_holds_is_text",
        "dashboard/test_miners_page.py::test_what_a_miner_says_is_text",
        "dashboard/test_audit_pages.py::test_what_was_recorded_is_text",
    ),
    "1.2.4": (APART, STRANGE_CREDENTIAL),
    "1.2.10": (
        "dashboard/test_audit_pages.py::test_a_formula_is_a_text",
        "dashboard/test_audit_pages.py::test_an_exported_name_is_no_formula",
    ),
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
    "2.3.4": (
        "api_keys/test_commits.py::test_changes_to_one_key_come_one_after_another",
        "users/test_sign_in.py::test_many_guesses_at_once_are_no_way_around",
    ),
    "2.4.1": (
        GUESSES,
        "gate/test_guesses.py::test_thirty_a_minute_then_one_a_second",
        "users/test_sign_up.py::test_nobody_is_flooded_with_mails",
    ),
    "3.3.1": ("users/test_pages.py::test_the_cookie_of_a_session",),
    "3.3.2": ("users/test_pages.py::test_the_cookie_of_a_session",),
    "3.3.3": ("users/test_pages.py::test_the_cookie_of_a_session",),
    "3.3.4": ("users/test_pages.py::test_the_cookie_of_a_session",),
    "3.4.1": (
        "gate/test_asgi.py::test_browsers_are_told_to_come_by_https_where_that_is_so",
        "web/test_https.py::test_the_public_url_decides",
    ),
    "3.4.2": ("gate/test_cors.py::test_other_origins_get_nothing",),
    "3.4.3": (
        BROWSERS,
        "test_docs_page.py::test_it_loads_nothing_and_runs_nothing",
        "dashboard/test_pages.py::test_pages_load_nothing_from_elsewhere",
    ),
    "3.4.4": (SHAPE,),
    "3.4.5": (SHAPE, LOST),
    "3.4.6": (SHAPE, BROWSERS, LOST),
    "3.5.1": (
        "contract/test_bad_input.py::test_a_body_is_json_and_says_so_or_says_nothing",
        "contract/test_page_access.py::test_every_form_needs_its_token",
        "dashboard/test_csrf.py::test_where_a_form_comes_from",
        "dashboard/test_pages.py::test_a_form_needs_its_token",
    ),
    "3.5.3": (NO_METHOD, "contract/test_page_access.py::test_a_page_takes_no_other_method"),
    "3.7.2": (
        "users/test_pages.py::test_signing_in_goes_on_to_where_one_wanted_to",
        "dashboard/test_redirects.py::test_everything_else_leads_home",
    ),
    "4.1.1": (MATRIX, SHAPE),
    "4.1.3": (
        "gate/test_request.py::test_the_client_behind_proxies",
        "gate/test_decision.py::test_the_header_chooses_among_granted_tenants_only",
    ),
    "4.1.4": (NO_METHOD, "gate/test_asgi.py::test_other_methods"),
    "4.1.5": ("level 3, left out: a key in a header over TLS is what every client of such an API can send",),
    "6.1.1": (
        "gate/test_guesses.py::test_who_stops_is_free_within_a_minute",
        "users/test_sign_in.py::test_guesses_from_many_places_do_not_lock_the_owner_out",
        "contract/test_docs_accounts.py::test_every_limit_on_guessing_is_written_down",
    ),
    "6.1.3": ("contract/test_docs_accounts.py::test_every_way_to_a_session_is_written_down",),
    "6.2.1": (
        "users/test_password_rules.py::test_what_is_wrong_is_said",
        "users/test_sign_up.py::test_what_is_no_password",
    ),
    "6.2.3": (
        "users/test_account.py::test_a_new_password_needs_the_present_one",
        "users/test_pages.py::test_a_new_password_on_the_settings_page",
    ),
    "6.2.4": (
        "users/test_password_rules.py::test_every_common_password_of_the_list_that_is_long_enough_is_refused",
        "users/test_password_rules.py::test_passwords_that_are_tried_first_are_refused",
    ),
    "6.2.5": ("users/test_password_rules.py::test_long_passwords_are_taken_whatever_they_are_made_of",),
    "6.2.8": ("users/test_passwords.py::test_only_the_very_password_is_right",),
    "6.2.9": ("users/test_password_rules.py::test_what_a_password_manager_makes_is_taken",),
    "6.2.12": (
        "users/test_password_rules.py::test_passwords_that_are_tried_first_are_refused",
        "users/test_breached_passwords.py::test_a_breached_password_is_found_and_never_sent",
    ),
    "6.3.1": (
        GUESSES,
        "gate/test_gate.py::test_known_good_keys_pass_while_guesses_are_slowed",
        "users/test_sign_in.py::test_guesses_from_one_place_are_held_up",
        "users/test_sign_in.py::test_lists_of_stolen_passwords_are_held_up",
    ),
    "6.3.2": (
        FRESH,
        "contract/test_defaults.py::test_no_word_is_a_key",
        "users/test_sign_up.py::test_strangers_are_let_in_only_where_that_is_wanted",
    ),
    "6.3.3": (NO_SECOND_FACTOR,),
    "6.3.4": ("contract/test_authorization.py::test_the_public_list_only_shrinks",),
    "6.3.7": (
        "users/test_account.py::test_a_new_password_needs_the_present_one",
        "users/test_account.py::test_another_address_is_ours_once_its_link_is_followed",
    ),
    "6.3.8": (
        TIMING,
        "api_keys/credentials/test_timing.py::test_unknown_and_wrong_take_the_same_time_to_load",
        "users/test_sign_in.py::test_whatever_is_wrong_the_answer_is_the_same",
        "users/test_passwords.py::test_nobody_takes_as_long_as_somebody",
        "users/test_pages.py::test_nobody_learns_who_has_an_account",
        "users/test_account.py::test_how_long_it_takes_gives_no_address_away",
    ),
    "6.4.1": (
        FRESH,
        "users/test_administration.py::test_an_account_is_made_with_a_link_for_its_owner",
        "users/test_sign_up.py::test_a_link_works_once_and_for_a_day",
    ),
    "6.4.3": (NO_SECOND_FACTOR,),
    "6.4.6": ("users/test_administration.py::test_a_link_that_was_lost_is_replaced",),
    "6.5.1": (
        "users/test_sign_up.py::test_a_link_works_once_and_for_a_day",
        "users/test_recovery.py::test_the_link_works_once_for_an_hour_and_only_the_newest",
    ),
    "6.5.2": (
        GENERATED,
        "api_keys/credentials/test_source.py::test_a_copy_of_the_database_authenticates_nobody",
        "users/test_sessions.py::test_tokens_are_random_and_only_their_digest_is_kept",
    ),
    "6.5.3": (GENERATED,),
    "6.5.5": ("device/test_consent.py::test_what_has_expired_cannot_be_decided",),
    "6.6.2": ("device/test_consent.py::test_another_session_neither_sees_nor_decides",),
    "6.6.3": ("device/test_consent.py::test_codes_cannot_be_guessed",),
    "6.8.1": (FEDERATION,),
    "7.1.1": ("contract/test_docs_accounts.py::test_the_ends_of_a_session_are_written_down",),
    "7.2.2": ("users/test_pages.py::test_the_cookie_of_a_session",),
    "7.2.3": ("users/test_sessions.py::test_tokens_are_random_and_only_their_digest_is_kept",),
    "7.2.4": (
        "users/test_sessions.py::test_giving_the_password_again_makes_a_new_token",
        "users/test_sign_in.py::test_an_address_and_a_password_sign_in",
        "users/test_sign_in.py::test_a_browser_has_one_session",
    ),
    "7.3.1": ("users/test_sessions.py::test_a_session_that_is_not_used_ends",),
    "7.3.2": ("users/test_sessions.py::test_a_session_ends_after_a_week_whatever_happens",),
    "7.4.1": (
        "users/test_sessions.py::test_signing_out_ends_the_session_on_the_server",
        "users/test_pages.py::test_signing_out",
    ),
    "7.4.2": (
        "users/test_administration.py::test_a_disabled_account_is_out_at_once",
        "users/test_account.py::test_a_deleted_account_leaves_nothing_that_works",
        "device/test_device.py::test_the_key_works_as_long_as_the_account_does",
        "serving/test_operating_users.py::test_from_the_command_line_to_a_session_and_out_again",
    ),
    "7.4.3": (
        "users/test_account.py::test_a_new_password_needs_the_present_one",
        "users/test_account.py::test_sessions_are_ended_one_by_one_or_all_others",
    ),
    "7.4.5": (
        "users/test_administration.py::test_operators_sign_people_out",
        "serving/test_operating_users.py::test_from_the_command_line_to_a_session_and_out_again",
    ),
    "7.5.1": ("users/test_pages.py::test_another_address_wants_the_password_and_a_link",),
    "7.5.2": ("users/test_pages.py::test_sessions_are_listed_and_ended",),
    "7.5.3": (
        "users/test_pages.py::test_deleting_the_account_wants_the_password_and_the_address",
        "contract/test_page_access.py::test_what_is_sensitive_asks_for_the_password_again",
        "dashboard/test_api_key_access.py::test_giving_out_a_secret_asks_for_the_password_again",
        "dashboard/test_audit_pages.py::test_an_export_asks_for_the_password_again",
    ),
    "8.1.1": (
        "contract/test_authorization.py::test_the_table_has_every_route_and_no_other",
        "contract/test_page_access.py::test_the_table_has_every_page_and_no_other",
        "contract/test_docs.py::test_every_scope_and_preset_is_in_the_permissions",
    ),
    "8.2.1": (MATRIX, PAGES, "contract/test_authorization.py::test_the_gate_decides_by_the_table"),
    "8.2.2": (
        MATRIX,
        APART,
        "api_keys/test_who_may_what.py::test_the_table",
        "dashboard/test_api_key_access.py::test_another_tenants_key_is_a_random_id",
        "dashboard/test_api_key_access.py::test_a_developer_manages_their_own_keys",
    ),
    "8.2.3": (
        "contract/test_bad_input.py::test_a_field_that_nobody_knows_is_refused",
        "dashboard/test_api_key_access.py::test_nobody_gives_more_than_they_may",
    ),
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
        "api_keys/credentials/test_source.py::test_a_planted_row_authenticates_nobody",
    ),
    "9.1.2": (NO_TOKENS,),
    "9.1.3": (CALLS_NOBODY,),
    "9.2.1": (MATRIX,),
    "9.2.2": (MATRIX,),
    "9.2.3": (NO_TOKENS,),
    "9.2.4": (NO_TOKENS,),
    "10.3.5": ("level 3, left out: keys may be bound to addresses (allowed_ips), not to a certificate",),
    "10.4.4": ("device/test_device.py::test_wrong_questions",),
    "10.4.5": (NO_REFRESH,),
    "10.4.8": (NO_REFRESH,),
    "10.4.9": (NO_REFRESH,),
    "10.7.2": ("device/test_consent.py::test_the_person_sees_who_asks_for_what",),
    "11.1.1": (DOCUMENTED,),
    "11.1.2": (DOCUMENTED,),
    "11.2.1": ("users/test_passwords.py::test_the_parameters_are_no_weaker_than_recommended",),
    "11.2.2": (
        "api_keys/credentials/test_source.py::test_a_key_used_under_an_old_version_is_retagged",
        "users/test_passwords.py::test_a_hash_under_an_old_key_or_old_parameters_is_outdated",
    ),
    "11.2.3": (GENERATED,),
    "11.2.4": (TIMING,),
    "11.4.2": ("users/test_passwords.py::test_the_parameters_are_no_weaker_than_recommended",),
    "11.5.1": (GENERATED,),
    "11.6.1": (NO_TOKENS,),
    "12.2.1": ("serving/test_starting.py::test_listening_beyond_this_machine_without_tls_is_warned_about",),
    "12.3.2": (
        "mail/test_smtp.py::test_a_server_with_a_strange_certificate_gets_nothing",
        "users/test_breached_passwords.py::test_the_service_is_one_host_over_tls",
    ),
    "13.2.4": (CALLS_NOBODY, "users/test_breached_passwords.py::test_the_service_is_one_host_over_tls"),
    "13.3.1": ("test_settings.py::test_the_default_secret_key_is_made_for_its_owner_alone",),
    "13.3.4": (
        "serving/test_starting.py::test_a_lost_secret_key_is_not_replaced_in_silence",
        "api_keys/credentials/test_source.py::test_a_key_used_under_an_old_version_is_retagged",
    ),
    "13.4.2": (FAILURE,),
    "13.4.5": ("contract/test_authorization.py::test_unknown_paths_need_a_key_too",),
    "14.2.1": (CANARY, "contract/test_bad_input.py::test_a_strange_query_is_refused_by_its_name"),
    "14.2.2": (
        "contract/test_canary.py::test_no_secret_stays_in_memory",
        "gate/test_cache.py::test_no_secret_stands_in_memory",
    ),
    "14.2.6": (CANARY,),
    "14.3.2": (SHAPE, BROWSERS, LOST, "dashboard/test_api_keys.py::test_the_key_is_shown_once"),
    "14.3.3": ("dashboard/test_static.py::test_scripts_keep_nothing_in_the_browser",),
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
    "16.3.1": (
        COUNTED,
        "gate/test_refusals.py::test_a_refused_request_leaves_a_line",
        "users/test_sign_in.py::test_every_step_is_logged_and_nothing_that_was_typed",
    ),
    "16.3.2": (
        COUNTED,
        "gate/test_refusals.py::test_a_refused_request_leaves_a_line",
        "web/test_http_errors.py::test_a_refusal_by_the_service_leaves_a_line",
    ),
    "16.4.1": ("serving/test_logging.py::test_nobody_forges_a_line_or_steers_a_terminal",),
    "16.4.2": ("audit/test_verify.py::test_an_edited_row_is_named",),
    "16.4.3": (
        "logs are lines on standard error, for the operator's collector; the audit log has heads to keep elsewhere",
    ),
    "16.5.1": (FAILURE, SHAPE),
    "16.5.2": (
        "gate/test_asgi.py::test_what_the_database_does_not_answer_is_503",
        "users/test_breached_passwords.py::test_a_service_that_fails_keeps_nobody_out",
    ),
    "16.5.3": (FAILURE, "gate/test_gate.py::test_a_database_that_is_away_lets_nobody_new_in"),
    "16.5.4": (FAILURE, FUZZER),
}
