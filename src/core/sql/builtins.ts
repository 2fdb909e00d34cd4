// The functions and relations that ship with PostgreSQL and do no harm on a replica, by name. An allow list: a name
// that is not here goes to the primary, so a function of a server newer than this file costs a trip, never a row.
// It decides nothing by itself (names.ts does) and holds nothing that writes, locks, keeps state in the session, runs
// SQL given as text, or answers for one server only.
//
// Made from pg_proc of PostgreSQL 15.18 and 18.4, the union of
//   select proname from pg_proc where pronamespace = 'pg_catalog'::regnamespace group by proname
//   having bool_and(provolatile <> 'v' and prokind <> 'p' and prorettype not in (handlers, trigger, internal))
// without most names whose every obj_description() says that they only implement an operator, a type's input and
// output, a hash, or an aggregate's steps (no statement calls int4um by name); plus the names of the base types, since int4(x) is a call too. Taken out
// by hand: STABLE functions that fail on a standby or answer for the server they run on (names.ts lists them).

const words = (text: string): string[] => text.trim().split(/\s+/)

/**
 * What pg_proc calls VOLATILE and a replica does all the same, with the reason. Every other VOLATILE function of
 * PostgreSQL's own writes, keeps state, operates its server or answers for it: names.ts has those.
 */
export const HARMLESS_VOLATILE: ReadonlyMap<string, string> = new Map([
  ['random', 'a number from nowhere; setseed() is what keeps state, and is not here'],
  ['random_normal', 'the same'],
  ['clock_timestamp', 'the clock of the server'],
  ['timeofday', 'the clock of the server, in words'],
  ['gen_random_uuid', 'a number from nowhere'],
  ['uuidv4', 'a number from nowhere'],
  ['uuidv7', 'a number from nowhere and the clock'],
  ['current_query', 'the text of the statement itself'],
  ['lo_get', 'reads a large object, which is replicated; opens none'],
  ['array_shuffle', 'draws from an array'],
  ['array_sample', 'the same'],
  ['amvalidate', 'checks the catalogues, which are replicated'],
  ['pg_sleep', 'waits'],
  ['pg_sleep_for', 'waits'],
  ['pg_sleep_until', 'waits'],
  ['pg_relation_size', 'the size of a file that replay keeps alike'],
  ['pg_table_size', 'the same'],
  ['pg_indexes_size', 'the same'],
  ['pg_total_relation_size', 'the same'],
  ['pg_database_size', 'the same'],
  ['pg_tablespace_size', 'the same'],
  ['pg_partition_tree', 'reads the catalogues, which are replicated'],
  ['pg_partition_ancestors', 'the same'],
  ['pg_jit_available', 'what is installed, which a replica shares with its primary'],
  ['pg_control_system', 'the identity of the cluster, which all its servers share'],
  ['pg_control_init', 'how the cluster was made, which all its servers share'],
  ['pg_get_multixact_members', 'reads row locks that are replicated'],
])

/** Functions and types of pg_catalog. Accepted unqualified or as pg_catalog.name, not in another schema. */
export const HARMLESS_BUILTINS: ReadonlySet<string> = new Set([
  ...HARMLESS_VOLATILE.keys(),
  ...words(`
  abbrev abs aclcontains acldefault aclexplode aclinsert aclitem aclremove acos acosd acosh age any_value
  area array_agg array_append array_cat array_dims array_fill array_larger array_length array_lower array_ndims
  array_position array_positions array_prepend array_remove array_replace array_reverse array_send
  array_smaller array_sort array_to_json array_to_string array_to_tsvector array_upper ascii asin
  asind asinh atan atan2 atan2d atand atanh avg
  bit bit_and bit_count bit_length bit_or bit_xor bool bool_and bool_or booland_statefunc booleq boolne
  boolor_statefunc boolsend bound_box box bpchar broadcast btrim bytea byteasend
  cardinality casefold cash_words cashlarger cashsmaller cbrt ceil ceiling center char char_length character_length
  chr cid cidr circle col_description concat concat_ws convert convert_from convert_to corr cos cosd
  cosh cot cotd count covar_pop covar_samp crc32 crc32c cume_dist current_database current_schema
  current_schemas current_user
  date date_add date_bin date_larger date_mi date_mi_interval date_mii date_part date_pl_interval date_pli date_send
  date_smaller date_subtract date_trunc datemultirange daterange decode degrees dense_rank dexp diagonal diameter
  div dlog1 dlog10 dround dtrunc
  elem_contained_by_multirange elem_contained_by_range encode enum_first enum_last enum_range erf erfc every exp
  extract
  factorial family first_value float4 float4send float8 float8_accum float8_avg float8_combine float8_regr_accum
  float8_regr_combine float8div float8eq float8gt float8larger float8lt float8mi float8mul float8pl float8send
  float8smaller floor format format_type
  gamma gcd generate_series generate_subscripts get_bit get_byte get_current_ts_config
  getdatabaseencoding getpgusername
  has_any_column_privilege has_column_privilege has_database_privilege has_foreign_data_wrapper_privilege
  has_function_privilege has_language_privilege has_largeobject_privilege has_parameter_privilege
  has_schema_privilege has_sequence_privilege has_server_privilege has_table_privilege has_tablespace_privilege
  has_type_privilege hash_aclitem hash_array hash_multirange hash_numeric hash_range hash_record hashbool hashbpchar
  hashbytea hashchar hashcid hashdate hashenum hashfloat4 hashfloat8 hashinet hashint2 hashint4 hashint8 hashmacaddr
  hashmacaddr8 hashname hashoid hashoidvector hashtext hashtid hashxid hashxid8 height host hostmask
  icu_unicode_version in_range inet inet_merge inet_same_family inet_send initcap int2 int2send int2vector int4
  int4div int4eq int4gt int4larger int4lt int4mi int4mul int4multirange int4pl int4range int4send int4smaller int8
  int8div int8eq int8gt int8larger int8lt int8mi int8mul int8multirange int8pl int8range int8send int8smaller
  interval interval_hash interval_send is_normalized isclosed isempty isfinite ishorizontal isopen isparallel isperp
  isvertical
  json json_agg json_agg_strict json_array_element json_array_element_text json_array_elements
  json_array_elements_text json_array_length json_build_array json_build_object json_each json_each_text
  json_extract_path json_extract_path_text json_object json_object_agg json_object_agg_strict json_object_agg_unique
  json_object_agg_unique_strict json_object_field json_object_field_text json_object_keys json_populate_record
  json_populate_recordset json_send json_strip_nulls json_to_record json_to_recordset json_to_tsvector json_typeof
  jsonb jsonb_agg jsonb_agg_strict jsonb_array_element jsonb_array_element_text jsonb_array_elements
  jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_cmp jsonb_concat
  jsonb_contained jsonb_contains jsonb_delete jsonb_delete_path jsonb_each jsonb_each_text jsonb_eq jsonb_exists
  jsonb_exists_all jsonb_exists_any jsonb_extract_path jsonb_extract_path_text jsonb_ge jsonb_gt jsonb_hash
  jsonb_insert jsonb_le jsonb_lt jsonb_ne jsonb_object jsonb_object_agg jsonb_object_agg_strict
  jsonb_object_agg_unique jsonb_object_agg_unique_strict jsonb_object_field jsonb_object_field_text
  jsonb_object_keys jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query
  jsonb_path_query_array jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz
  jsonb_path_query_tz jsonb_populate_record jsonb_populate_record_valid jsonb_populate_recordset jsonb_pretty
  jsonb_send jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_to_tsvector
  jsonb_typeof jsonpath justify_days justify_hours justify_interval
  lag last_value lcm lead left length lgamma like like_escape line ln log log10 lower lower_inc lower_inf
  lpad lseg ltrim
  macaddr macaddr8 macaddr8_set7bit make_date make_interval make_time make_timestamp make_timestamptz makeaclitem
  masklen max md5 min min_scale mod mode money multirange multirange_adjacent_multirange multirange_adjacent_range
  multirange_after_multirange multirange_after_range multirange_before_multirange multirange_before_range
  multirange_cmp multirange_contained_by_multirange multirange_contained_by_range multirange_contains_elem
  multirange_contains_multirange multirange_contains_range multirange_eq multirange_ge multirange_gt
  multirange_intersect multirange_le multirange_lt multirange_minus multirange_ne multirange_overlaps_multirange
  multirange_overlaps_range multirange_overleft_multirange multirange_overleft_range multirange_overright_multirange
  multirange_overright_range multirange_send multirange_union mxid_age
  name nameconcatoid netmask network normalize notlike now npoints nth_value ntile num_nonnulls num_nulls numeric
  numeric_div_trunc numeric_exp numeric_larger numeric_ln numeric_log numeric_send numeric_smaller numeric_sqrt
  nummultirange numnode numrange
  obj_description octet_length oid oidvector oidvectortypes overlaps overlay
  parse_ident path pclose percent_rank percentile_cont percentile_disc phraseto_tsquery pi plainto_tsquery point
  polygon popen position pow power
  querytree quote_ident quote_literal quote_nullable
  radians radius range_adjacent range_adjacent_multirange range_after range_after_multirange
  range_agg range_before range_before_multirange range_cmp range_contained_by range_contained_by_multirange
  range_contains range_contains_elem range_contains_multirange range_eq range_ge range_gt range_intersect
  range_intersect_agg range_le range_lt range_merge range_minus range_ne range_overlaps range_overlaps_multirange
  range_overleft range_overleft_multirange range_overright range_overright_multirange range_send range_union rank
  record_send refcursor regclass regcollation regconfig regdictionary regexp_count regexp_instr regexp_like
  regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr regnamespace
  regoper regoperator regproc regprocedure regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx
  regr_sxy regr_syy regrole regtype repeat replace reverse right round row_number row_security_active row_to_json
  rpad rtrim
  satisfies_hash_partition scale session_user set_bit set_byte set_masklen setweight sha224 sha256 sha384 sha512
  shobj_description sign similar_escape similar_to_escape sin sind sinh slope split_part sqrt starts_with
  statement_timestamp stddev stddev_pop stddev_samp string_agg string_to_array string_to_table strip strpos substr
  substring sum system_user
  tan tand tanh text text_larger text_smaller textcat texteq texteqname textlen textlike textregexeq textsend tid
  time time_hash timestamp timestamp_hash timestamp_larger timestamp_send timestamp_smaller timestamptz
  timestamptz_hash timestamptz_larger timestamptz_send timestamptz_smaller timetz timetz_hash timezone to_ascii
  to_bin to_char to_date to_hex to_json to_jsonb to_number to_oct to_regclass to_regcollation to_regnamespace
  to_regoper to_regoperator to_regproc to_regprocedure to_regrole to_regtype to_regtypemod to_timestamp to_tsquery
  to_tsvector transaction_timestamp translate trim_array trim_scale trunc ts_debug ts_delete ts_filter ts_headline
  ts_lexize ts_parse ts_rank ts_rank_cd ts_token_type tsmultirange tsquery tsquery_phrase tsrange tstzmultirange
  tstzrange tsvector tsvector_to_array txid_snapshot txid_snapshot_xip txid_snapshot_xmax txid_snapshot_xmin
  txid_visible_in_snapshot
  unicode_assigned unicode_version unistr unnest upper upper_inc upper_inf uuid uuid_extract_timestamp
  uuid_extract_version uuid_hash uuid_send
  var_pop var_samp varbit varchar variance version
  websearch_to_tsquery width width_bucket
  xid xid8 xml xml_is_well_formed xml_is_well_formed_content xml_is_well_formed_document xml_send xmlagg xmlcomment
  xmlexists xmltext xmlvalidate xpath xpath_exists
`),
])

/** The same for names that begin with pg_: the only ones of that prefix that may be called on a replica. */
export const HARMLESS_PG_FUNCTIONS: ReadonlySet<string> = new Set([
  ...HARMLESS_VOLATILE.keys(),
  ...words(`
  pg_available_extension_versions pg_available_extensions pg_basetype pg_char_to_encoding pg_client_encoding
  pg_collation_for pg_collation_is_visible pg_column_compression pg_column_is_updatable pg_column_size
  pg_column_toast_chunk_id pg_conversion_is_visible
  pg_describe_object pg_encoding_max_length pg_encoding_to_char pg_extension_update_paths pg_filenode_relation
  pg_function_is_visible pg_get_acl pg_get_catalog_foreign_keys pg_get_constraintdef pg_get_expr
  pg_get_function_arg_default pg_get_function_arguments pg_get_function_identity_arguments pg_get_function_result
  pg_get_function_sqlbody pg_get_functiondef pg_get_indexdef pg_get_keywords
  pg_get_object_address pg_get_partition_constraintdef pg_get_partkeydef pg_get_publication_tables
  pg_get_replica_identity_index pg_get_ruledef pg_get_serial_sequence pg_get_statisticsobjdef
  pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions pg_get_triggerdef pg_get_userbyid
  pg_get_viewdef pg_has_role pg_identify_object pg_identify_object_as_address pg_index_column_has_property
  pg_index_has_property pg_indexam_has_property pg_indexam_progress_phasename pg_input_error_info
  pg_input_is_valid pg_lsn pg_mcv_list_items pg_opclass_is_visible pg_operator_is_visible
  pg_opfamily_is_visible pg_options_to_table pg_partition_root
  pg_relation_filenode pg_relation_filepath pg_relation_is_publishable pg_relation_is_updatable
  pg_sequence_parameters pg_settings_get_flags pg_size_bytes pg_size_pretty
  pg_snapshot_xip pg_snapshot_xmax pg_snapshot_xmin pg_split_walfile_name pg_statistics_obj_is_visible
  pg_table_is_visible pg_tablespace_location pg_timezone_abbrevs pg_timezone_names
  pg_trigger_depth pg_ts_config_is_visible pg_ts_dict_is_visible pg_ts_parser_is_visible
  pg_ts_template_is_visible pg_type_is_visible pg_typeof pg_visible_in_snapshot pg_wal_lsn_diff
`),
])

/**
 * Functions of the contrib modules pgcrypto, uuid-ossp, pg_trgm, unaccent, fuzzystrmatch and tablefunc: known by such
 * particular names that they are accepted in any schema. Functions of other extensions are learned from the catalogue.
 */
export const HARMLESS_CONTRIB: ReadonlySet<string> = new Set(
  words(`
  gen_random_bytes gen_salt crypt digest hmac pgp_sym_encrypt pgp_sym_encrypt_bytea pgp_sym_decrypt
  pgp_sym_decrypt_bytea pgp_pub_encrypt pgp_pub_encrypt_bytea pgp_pub_decrypt pgp_pub_decrypt_bytea pgp_key_id armor
  dearmor uuid_generate_v1 uuid_generate_v1mc uuid_generate_v3 uuid_generate_v4 uuid_generate_v5 uuid_nil
  uuid_ns_dns uuid_ns_url uuid_ns_oid uuid_ns_x500 similarity word_similarity strict_word_similarity show_trgm
  unaccent levenshtein levenshtein_less_equal soundex difference metaphone dmetaphone dmetaphone_alt daitch_mokotoff
  normal_rand
`)
)

/** Catalogues, views and types named pg_… that read the same on a caught-up replica; not the views of one server. */
export const HARMLESS_PG_RELATIONS: ReadonlySet<string> = new Set(
  words(`
  pg_catalog pg_aggregate pg_am pg_amop pg_amproc pg_attrdef pg_attribute pg_auth_members pg_authid
  pg_available_extension_versions pg_available_extensions pg_cast pg_class pg_collation pg_constraint pg_conversion
  pg_database pg_db_role_setting pg_default_acl pg_depend pg_description pg_enum pg_event_trigger pg_extension
  pg_foreign_data_wrapper pg_foreign_server pg_foreign_table pg_group pg_index pg_indexes pg_inherits pg_init_privs
  pg_language pg_largeobject pg_largeobject_metadata pg_matviews pg_namespace pg_opclass pg_operator pg_opfamily
  pg_parameter_acl pg_partitioned_table pg_policies pg_policy pg_proc pg_publication pg_publication_namespace
  pg_publication_rel pg_publication_tables pg_range pg_replication_origin pg_rewrite pg_roles pg_rules pg_seclabel
  pg_seclabels pg_sequence pg_shadow pg_shdepend pg_shdescription pg_shseclabel pg_statistic pg_statistic_ext
  pg_statistic_ext_data pg_stats pg_stats_ext pg_stats_ext_exprs pg_subscription pg_subscription_rel pg_tables
  pg_tablespace pg_timezone_abbrevs pg_timezone_names pg_transform pg_trigger pg_ts_config pg_ts_config_map
  pg_ts_dict pg_ts_parser pg_ts_template pg_type pg_user pg_user_mapping pg_user_mappings pg_views pg_wait_events
  pg_lsn pg_snapshot pg_node_tree pg_ndistinct pg_dependencies pg_mcv_list pg_ddl_command pg_brin_bloom_summary
  pg_brin_minmax_multi_summary
`)
)
