-- ecommerce_ml 0.1.0 to 0.2.0

\echo Use "ALTER EXTENSION ecommerce_ml UPDATE" to load this file. \quit

-- The extension was registered in the first schema of search_path, mostly public, and its own schema was a member of it.
-- From now on it is registered in its own schema. No command moves an extension that is not relocatable.
ALTER EXTENSION ecommerce_ml DROP SCHEMA ecommerce_ml;
UPDATE pg_catalog.pg_depend d SET refobjid = 'ecommerce_ml'::pg_catalog.regnamespace
FROM pg_catalog.pg_extension e
WHERE e.extname = 'ecommerce_ml' AND d.classid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.objid = e.oid
  AND d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = e.extnamespace;
UPDATE pg_catalog.pg_extension SET extnamespace = 'ecommerce_ml'::pg_catalog.regnamespace WHERE extname = 'ecommerce_ml';
SET LOCAL search_path = ecommerce_ml, pg_temp;

-- Jobs and schedules know what settings meant to the session that made them. Those that are there had none.
ALTER TABLE stored_job ADD settings jsonb NOT NULL DEFAULT '{}';
ALTER TABLE stored_schedule ADD settings jsonb NOT NULL DEFAULT '{}';

-- Schedules know what makes a training due, and what was measured of drift.
ALTER TABLE stored_schedule ADD retrain_if jsonb, ADD drift jsonb, ADD drift_measured timestamptz;

-- What a new version is held against, besides the live one.
ALTER TABLE stored_job ADD baseline jsonb;

-- What a version is, reads and answers. Those that are there read text.
ALTER TABLE stored_version ADD kind text, ADD signature jsonb, ADD reference jsonb;
UPDATE stored_version SET kind = 'text', signature = pg_catalog.jsonb_build_object(
    'reads', 'text',
    'answers', CASE info ->> 'task' WHEN 'classification' THEN '["classes"]' WHEN 'regression' THEN '["number"]' ELSE '[]' END::jsonb
               || pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('embedding', info -> 'hidden_size'), 'tokens'),
    'labels', info -> 'labels');
ALTER TABLE stored_version ALTER kind SET NOT NULL, ALTER signature SET NOT NULL;

-- Jobs and schedules keep the call's arguments whatever the kind of model. Theirs go where views no longer show them.
ALTER TABLE stored_job ADD arguments jsonb, ALTER base DROP NOT NULL;
UPDATE stored_job SET arguments = pg_catalog.jsonb_build_object(
    'text_column', text_column, 'label_column', label_column, 'task', task, 'base', base, 'options', options);
ALTER TABLE stored_job ALTER arguments SET NOT NULL;
ALTER TABLE stored_schedule ADD arguments jsonb;
UPDATE stored_schedule SET arguments = pg_catalog.jsonb_build_object(
    'text_column', text_column, 'label_column', label_column, 'task', task, 'options', options)
    || CASE WHEN base IS NULL THEN '{}' ELSE pg_catalog.jsonb_build_object('base', base) END;
ALTER TABLE stored_schedule ALTER arguments SET NOT NULL;

-- Rows of one table no longer depend on rows of another: they are restored and replicated in any order.
ALTER TABLE stored_chunk DROP CONSTRAINT stored_chunk_sha256_fkey;
ALTER TABLE stored_version DROP CONSTRAINT stored_version_name_fkey, DROP CONSTRAINT stored_version_content_fkey;
ALTER TABLE stored_deployment DROP CONSTRAINT stored_deployment_name_version_fkey;
ALTER TABLE stored_grant DROP CONSTRAINT stored_grant_name_fkey;
ALTER TABLE stored_epoch DROP CONSTRAINT stored_epoch_job_fkey;
ALTER TABLE stored_checkpoint DROP CONSTRAINT stored_checkpoint_job_fkey;
ALTER TABLE stored_seen DROP CONSTRAINT stored_seen_job_fkey, DROP CONSTRAINT stored_seen_name_version_fkey;

-- Chunks are named by their own hash, and files have them in common. Those that are there stay where they are, each once.
CREATE TABLE stored_part (
    content bytea,
    file integer,
    part integer,
    chunk bytea NOT NULL,
    PRIMARY KEY (content, file, part)
);
CREATE INDEX ON stored_part (chunk);
COMMENT ON TABLE stored_part IS 'which chunks the files of content consist of, in order';
ALTER TABLE stored_chunk RENAME sha256 TO content;
ALTER TABLE stored_chunk ADD sha256 bytea;
UPDATE stored_chunk SET sha256 = pg_catalog.sha256(data);
INSERT INTO stored_part (content, file, part, chunk) SELECT content, file, chunk, sha256 FROM stored_chunk;
ALTER TABLE stored_chunk DROP CONSTRAINT stored_chunk_pkey, DROP content, DROP file, DROP chunk;
DELETE FROM stored_chunk c USING stored_chunk o WHERE o.sha256 = c.sha256 AND o.ctid < c.ctid;
ALTER TABLE stored_chunk ADD PRIMARY KEY (sha256);
COMMENT ON TABLE stored_chunk IS 'bytes of files, at most 1 MiB a row, named by their SHA-256: files have them in common';

-- Views keep their columns, and those of others that depend on them: what they show is replaced before its tables change.

-- Roles that rows name

CREATE TYPE role_reference;
CREATE FUNCTION role_reference_in(cstring) RETURNS role_reference
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'role_reference_in_wrapper';
COMMENT ON FUNCTION role_reference_in(cstring) IS 'reads the name of a role, whether or not there is one';
CREATE FUNCTION role_reference_out(role_reference) RETURNS cstring
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'role_reference_out_wrapper';
COMMENT ON FUNCTION role_reference_out(role_reference) IS 'name that the role has now, or had when there was one';
CREATE TYPE role_reference (INPUT = role_reference_in, OUTPUT = role_reference_out, STORAGE = plain);
COMMENT ON TYPE role_reference IS
    'a role: follows ALTER ROLE RENAME as regrole does, and where there is no such role keeps its name; public is everyone';
CREATE FUNCTION role_id(role_reference) RETURNS oid
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'role_id_wrapper';
COMMENT ON FUNCTION role_id(role_reference) IS 'the role that is meant; NULL if there is none, or everyone is meant';

CREATE TABLE stored_alert (
    name text COLLATE "C",
    -- Counted from 1 within a model.
    alert integer,
    created timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL,
    message text NOT NULL,
    detail jsonb NOT NULL,
    -- Of rows: the table that they are in, and its owner. NULL of what a schedule has measured.
    relation text,
    owner role_reference,
    PRIMARY KEY (name, alert)
);
COMMENT ON TABLE stored_alert IS 'what somebody should look at, of models with schedules and of watched rows; the newest of each';

ALTER TABLE stored_model RENAME owner TO owner_before;
ALTER TABLE stored_model ADD owner role_reference;
UPDATE stored_model SET owner = pg_catalog.pg_get_userbyid(owner_before)::text::role_reference;
ALTER TABLE stored_model ALTER owner SET NOT NULL;

ALTER TABLE stored_grant DROP CONSTRAINT stored_grant_pkey;
ALTER TABLE stored_grant RENAME grantee TO grantee_before;
ALTER TABLE stored_grant ADD number integer, ADD grantee role_reference;
UPDATE stored_grant g SET number = n.number,
    grantee = CASE WHEN g.grantee_before = 0 THEN 'public'
                   ELSE pg_catalog.pg_get_userbyid(g.grantee_before)::text END::role_reference
FROM (SELECT name, grantee_before, row_number() OVER (PARTITION BY name ORDER BY grantee_before::oid) AS number
      FROM stored_grant) AS n
WHERE n.name = g.name AND n.grantee_before = g.grantee_before;
ALTER TABLE stored_grant ALTER grantee SET NOT NULL, DROP grantee_before, ADD PRIMARY KEY (name, number);
COMMENT ON TABLE stored_grant IS 'roles that may use a model beside its owner';

-- Relations by their names, with their schemas: a name alone would depend on search_path.
SET LOCAL search_path = pg_catalog, pg_temp;
ALTER TABLE ecommerce_ml.stored_schedule RENAME relation TO relation_before;
ALTER TABLE ecommerce_ml.stored_schedule ADD relation text;
UPDATE ecommerce_ml.stored_schedule SET relation = relation_before::text;
SET LOCAL search_path = ecommerce_ml, pg_temp;
ALTER TABLE stored_schedule RENAME owner TO owner_before;
ALTER TABLE stored_schedule ADD owner role_reference;
UPDATE stored_schedule SET owner = pg_catalog.pg_get_userbyid(owner_before)::text::role_reference;
ALTER TABLE stored_schedule ALTER owner SET NOT NULL, ALTER relation SET NOT NULL;

ALTER TABLE stored_job RENAME relation TO relation_before;
ALTER TABLE stored_job RENAME relation_name TO relation;
ALTER TABLE stored_job RENAME owner TO owner_before;
ALTER TABLE stored_job RENAME login TO login_before;
ALTER TABLE stored_job ADD owner role_reference, ADD login role_reference;
UPDATE stored_job SET owner = pg_catalog.pg_get_userbyid(owner_before)::text::role_reference,
    login = pg_catalog.pg_get_userbyid(login_before)::text::role_reference;
ALTER TABLE stored_job ALTER owner SET NOT NULL, ALTER login SET NOT NULL, DROP relation_before, DROP login_before;

-- The numbers of jobs, whose sequence only the owner of the table could read.
CREATE SEQUENCE stored_job_number;
SELECT pg_catalog.setval('stored_job_number', last_value, is_called) FROM stored_job_job_seq;
ALTER EXTENSION ecommerce_ml DROP SEQUENCE stored_job_job_seq;
ALTER TABLE stored_job ALTER job DROP IDENTITY;

CREATE TABLE stored_trial (
    job bigint,
    trial integer,
    settings jsonb NOT NULL,
    rung integer NOT NULL,
    rows bigint NOT NULL,
    loss double precision,
    best boolean NOT NULL DEFAULT false,
    seconds double precision NOT NULL,
    PRIMARY KEY (job, trial)
);
COMMENT ON TABLE stored_trial IS 'settings that a training has tried, each as far as it came';

CREATE TABLE stored_job_seen (
    job bigint,
    chunk integer,
    data bytea NOT NULL,
    PRIMARY KEY (job, chunk)
);
ALTER TABLE stored_job_seen ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE stored_job_seen IS 'rows that a training has seen, until it succeeds: 8 bytes each, at most 1 MiB a row';

INSERT INTO stored_job_seen (job, chunk, data) SELECT job, chunk, data FROM stored_seen WHERE job IS NOT NULL;
DELETE FROM stored_seen WHERE job IS NOT NULL;
ALTER TABLE stored_seen DROP CONSTRAINT stored_seen_name_chunk_key, DROP job, ALTER version SET NOT NULL,
    ADD PRIMARY KEY (name, chunk);

CREATE TABLE stored_pin (
    name text COLLATE "C",
    version integer,
    PRIMARY KEY (name, version)
);
COMMENT ON TABLE stored_pin IS 'versions that are kept in the engine''s memory';

INSERT INTO stored_pin (name, version) SELECT name, version FROM stored_version WHERE pinned;

-- Other models come with the extension.
DO $$
DECLARE
    taken text := (SELECT min(name) FROM ecommerce_ml.stored_model WHERE name IN ('reviews_multilingual', 'reviews_small'));
BEGIN
    IF taken IS NOT NULL THEN
        RAISE EXCEPTION 'model "%" has the name of a model that comes with the extension now', taken
            USING ERRCODE = 'duplicate_object', HINT = 'Export it, drop it, update, and import it under another name.';
    END IF;
END
$$;

-- The model that comes with the extension is no row any more.
DELETE FROM stored_grant WHERE name = 'reviews';
DELETE FROM stored_deployment WHERE name = 'reviews' AND deployment = 1;
DELETE FROM stored_version WHERE content IS NULL;
DELETE FROM stored_model WHERE name = 'reviews';
ALTER TABLE stored_version ALTER content SET NOT NULL;
COMMENT ON TABLE stored_version IS 'versions of models';

SELECT pg_catalog.pg_extension_config_dump('stored_part', '');
SELECT pg_catalog.pg_extension_config_dump('stored_model', '');
SELECT pg_catalog.pg_extension_config_dump('stored_version', '');
SELECT pg_catalog.pg_extension_config_dump('stored_pin', '');
SELECT pg_catalog.pg_extension_config_dump('stored_deployment', '');
SELECT pg_catalog.pg_extension_config_dump('stored_grant', '');
SELECT pg_catalog.pg_extension_config_dump('stored_job_number', '');
SELECT pg_catalog.pg_extension_config_dump('stored_alert', '');
SELECT pg_catalog.pg_extension_config_dump('stored_trial', '');
SELECT pg_catalog.pg_extension_config_dump('stored_job_seen', '');
GRANT SELECT ON stored_model, stored_content, stored_part, stored_chunk, stored_version, stored_pin, stored_deployment,
    stored_grant, stored_job, stored_epoch, stored_trial, stored_checkpoint, stored_schedule, stored_alert, stored_job_seen, stored_seen TO pg_database_owner;
GRANT SELECT ON SEQUENCE stored_job_number TO pg_database_owner;

-- The models that come with the extension are there without being stored.

CREATE VIEW built_in AS
    SELECT name COLLATE "C" AS name, base,
           '{"architecture": "bert", "task": "classification",
      "labels": ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"], "has_sentiment": true, "has_rating": true,
      "max_length": 256, "hidden_size": 384}'::jsonb || info AS info, metrics
    FROM (VALUES
    ('reviews', 'sentence-transformers/all-MiniLM-L6-v2',
    '{"scripts": ["Latin"], "parameters": 22715141, "size": 46161490}'::jsonb,
    '{"amazon_snippets": {"pearson_r": 0.8236, "sign_accuracy": 0.854, "mae_stars": 0.4922, "macro_f1": 0.8374, "macro_f1_with_neutral": 0.5583, "rows": 3708},
      "amazon_cells": {"accuracy": 0.936, "positive_f1": 0.9381, "negative_f1": 0.9337, "macro_f1": 0.9359, "auc": 0.9831, "predicted_neutral": 0.043, "rows": 1000},
      "fine_foods_test": {"auc_five_stars": 0.9256, "auc_expected_stars": 0.924, "rows": 1000},
      "imdb_held_out": {"accuracy": 0.9065, "positive_f1": 0.9101, "negative_f1": 0.9026, "macro_f1": 0.9063, "auc": 0.9668, "predicted_neutral": 0.0, "rows": 2000}}'::jsonb),
    ('reviews_multilingual', 'intfloat/multilingual-e5-small', '{"scripts": ["Han", "Latin"], "parameters": 32801669, "size": 66515994}',
    '{"chinese": {"accuracy": 0.8656, "auc": 0.9403, "rows": 1808},
      "restaurants": {"r": 0.7265, "accuracy": 0.9688, "rows": 300},
      "clothing": {"mae": 0.465, "r": 0.8197, "rows": 2265},
      "foods": {"mae": 0.4917, "r": 0.8508, "rows": 272},
      "amazon_snippets": {"pearson_r": 0.8243, "macro_f1": 0.8302, "rows": 3708},
      "amazon_cells": {"accuracy": 0.95, "auc": 0.9839, "rows": 1000}}'),
    ('reviews_small', 'reviews', '{"scripts": ["Latin"], "parameters": 17391749, "size": 35509123}',
    '{"amazon_snippets": {"pearson_r": 0.8079, "sign_accuracy": 0.841, "mae_stars": 0.5122, "macro_f1": 0.8254, "macro_f1_with_neutral": 0.5503, "rows": 3708},
      "amazon_cells": {"accuracy": 0.938, "positive_f1": 0.939, "negative_f1": 0.937, "macro_f1": 0.938, "auc": 0.9819, "predicted_neutral": 0.039, "rows": 1000},
      "fine_foods_test": {"auc_five_stars": 0.9156, "auc_expected_stars": 0.9117, "rows": 1000},
      "imdb_held_out": {"accuracy": 0.9055, "positive_f1": 0.9047, "negative_f1": 0.9063, "macro_f1": 0.9055, "auc": 0.9643, "predicted_neutral": 0.0, "rows": 2000}}')
    ) AS m (name, base, info, metrics);
COMMENT ON VIEW built_in IS 'the models that come with the extension';

CREATE VIEW all_model AS
    SELECT name, role_id(owner) AS owner, owner::text AS owner_name, created FROM stored_model
    UNION ALL
    SELECT b.name, relowner, pg_catalog.pg_get_userbyid(relowner)::text, NULL
    FROM built_in b, pg_catalog.pg_class WHERE oid = 'ecommerce_ml.stored_model'::pg_catalog.regclass;
COMMENT ON VIEW all_model IS 'models, those that come with the extension too; those of roles that are not there have no owner';

CREATE VIEW all_version AS
    SELECT v.*, EXISTS (SELECT FROM stored_pin p WHERE p.name = v.name AND p.version = v.version) AS pinned
    FROM (SELECT name, version, kind, signature, content, info, base, metrics, training, source, role, created FROM stored_version
          UNION ALL
          SELECT b.name, 1, 'text',
    '{"reads": "text", "answers": ["classes", {"embedding": 384}, "tokens"],
      "labels": ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]}', NULL,
    b.info, b.base, b.metrics, NULL, 'built in', m.owner_name::name, NULL FROM built_in b JOIN all_model m ON m.name = b.name) AS v;
COMMENT ON VIEW all_version IS 'versions of models; those without content are built in';

CREATE VIEW all_deployment AS
    SELECT name, deployment, version, role, deployed, withdrawn FROM stored_deployment
    UNION ALL
    SELECT name, 1, version, role, NULL, NULL FROM all_version WHERE content IS NULL;
COMMENT ON VIEW all_deployment IS 'history of deployments, those of the built-in versions too';

CREATE VIEW all_grant AS
    SELECT name, coalesce(role_id(grantee), CASE WHEN grantee::text = 'public' THEN 0::oid END) AS grantee
    FROM stored_grant
    UNION ALL
    SELECT name, 0::oid FROM built_in;
COMMENT ON VIEW all_grant IS 'roles that may use a model beside its owner; 0 stands for everyone, NULL for one that is not there';

CREATE OR REPLACE VIEW stored_live AS
    SELECT DISTINCT ON (name) name, version, deployed FROM all_deployment
    WHERE withdrawn IS NULL ORDER BY name, deployment DESC;
COMMENT ON VIEW stored_live IS 'versions that the names of models stand for';

-- Views of tables that have changed

CREATE OR REPLACE VIEW model_versions AS
    SELECT v.name, v.version, l.version IS NOT NULL AS live,
           v.info ->> 'task' AS task,
           ARRAY(SELECT jsonb_array_elements_text(v.info -> 'labels')) AS labels,
           v.info ->> 'architecture' AS architecture,
           (v.info ->> 'parameters')::bigint AS parameters,
           (v.info ->> 'max_length')::integer AS max_length,
           v.base, v.metrics, v.training, coalesce(c.size, (v.info ->> 'size')::bigint) AS size,
           v.pinned, v.source, encode(v.content, 'hex') AS sha256, v.role, v.created,
           v.kind, v.signature,
           CASE WHEN v.info ? 'scripts' THEN ARRAY(SELECT jsonb_array_elements_text(v.info -> 'scripts')) END AS scripts
    FROM all_version v
    LEFT JOIN stored_live l ON l.name = v.name AND l.version = v.version
    LEFT JOIN stored_content c ON c.sha256 = v.content;
COMMENT ON VIEW model_versions IS 'versions of models';
COMMENT ON COLUMN model_versions.kind IS 'what kind of model it is';
COMMENT ON COLUMN model_versions.signature IS 'what it reads and answers, and its labels';
COMMENT ON COLUMN model_versions.scripts IS 'scripts that it has learned to read, by their names in Unicode; NULL if that is not known';

CREATE OR REPLACE VIEW models AS
    SELECT m.name, v.version AS live_version, v.task, v.labels, v.base, v.metrics, v.size, m.created,
           m.owner::regrole AS owner, m.owner_name::name AS owner_name, v.kind, v.scripts
    FROM all_model m JOIN model_versions v ON v.name = m.name AND v.live;
COMMENT ON VIEW models IS 'models and their live versions';
COMMENT ON COLUMN models.owner IS 'NULL if there is no such role; owner_name tells which';

CREATE OR REPLACE VIEW stat_models AS
    SELECT coalesce(s.builtin, v.name) AS name, v.version, s.bytes AS loaded_bytes, s.precision,
           s.precision_note, s.pinned, s.requests, s.texts, s.tokens, s.cache_hits, s.last_used
    FROM model_stats() s
    LEFT JOIN all_version v
           ON v.content = s.content OR (v.content IS NULL AND s.content IS NULL AND v.name = s.builtin);

CREATE OR REPLACE VIEW jobs AS
    SELECT j.job, j.name,
           CASE WHEN j.state = 'running' AND p.job IS NULL THEN 'interrupted' ELSE j.state END AS state,
           j.version, j.outcome, j.relation, (j.arguments ->> 'text_column')::name COLLATE "C" AS text_column,
           (j.arguments ->> 'label_column')::name COLLATE "C" AS label_column, j.arguments ->> 'task' AS task, j.base,
           j.arguments -> 'options' AS options,
           role_id(j.owner)::regrole AS owner, j.submitted, j.started, j.ended,
           (j.prepared ->> 'training_rows')::bigint AS training_rows,
           (j.prepared ->> 'held_out_rows')::bigint AS held_out_rows,
           j.prepared -> 'labels' AS labels, j.comparison,
           j.error ->> 'message' AS error, j.error ->> 'detail' AS detail, j.error ->> 'hint' AS hint,
           j.error ->> 'sqlstate' AS sqlstate, j.cancelled_by, j.owner::text::name AS owner_name,
           j.baseline, j.prepared -> 'notices' AS notices,
           CASE WHEN j.arguments ? 'feature_columns'
                THEN ARRAY(SELECT jsonb_array_elements_text(j.arguments -> 'feature_columns')::name) END AS feature_columns,
           CASE WHEN j.arguments ? 'key_columns'
                THEN ARRAY(SELECT jsonb_array_elements_text(j.arguments -> 'key_columns')::name) END AS key_columns,
           (j.arguments ->> 'time_column')::name COLLATE "C" AS time_column
    FROM stored_job j LEFT JOIN training_progress() p ON p.job = j.job
    WHERE pg_has_role(role_id(j.owner), 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE');
COMMENT ON VIEW jobs IS 'trainings: queued, running, interrupted, succeeded, failed or cancelled';
COMMENT ON COLUMN jobs.base IS 'the version that it begins with; NULL if it begins with none';
COMMENT ON COLUMN jobs.outcome IS 'whether the new version was deployed, and why, and which old ones were dropped';
COMMENT ON COLUMN jobs.comparison IS 'the new version beside the one that was live, on the same rows held out';
COMMENT ON COLUMN jobs.baseline IS
    'what always the same answer is worth on the rows held out, and the new version beside it; NULL if none are held out';
COMMENT ON COLUMN jobs.notices IS 'what to know of the rows: labels that contradict each other, repetitions';

CREATE OR REPLACE VIEW job_metrics AS
    SELECT e.job, j.name, e.epoch, e.step, e.training_loss, e.best, e.seconds, e.ended,
           (e.evaluation ->> 'loss')::double precision AS loss,
           (e.evaluation ->> 'accuracy')::double precision AS accuracy,
           (e.evaluation ->> 'macro_f1')::double precision AS macro_f1,
           (e.evaluation ->> 'mae')::double precision AS mae,
           (e.evaluation ->> 'rmse')::double precision AS rmse,
           e.evaluation AS metrics, j.baseline -> 'metrics' AS baseline
    FROM stored_epoch e JOIN stored_job j ON j.job = e.job
    WHERE pg_has_role(role_id(j.owner), 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE');
COMMENT ON COLUMN job_metrics.baseline IS 'what always the same answer is worth on the same rows';

CREATE VIEW job_trials AS
    SELECT t.job, j.name, t.trial, t.settings, t.rung, t.rows, t.loss, t.best, t.seconds
    FROM stored_trial t JOIN stored_job j ON j.job = t.job
    WHERE pg_has_role(role_id(j.owner), 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE');
COMMENT ON VIEW job_trials IS 'settings that a training has tried, by option hyperparameter_search';
COMMENT ON COLUMN job_trials.rung IS 'how far it came: in each rung a third of the trials goes on, with three times the rows';
COMMENT ON COLUMN job_trials.rows IS 'how many rows it learned from there';
COMMENT ON COLUMN job_trials.loss IS 'mean loss of rows to learn from that it had not learned from; NULL if it diverged, or time was up';
COMMENT ON COLUMN job_trials.best IS 'whether the training took these settings';
GRANT SELECT ON job_trials TO PUBLIC;

CREATE OR REPLACE VIEW stat_progress_training AS
    SELECT p.job, j.name, p.pid, p.engine_pid, p.phase, p.rows_read, p.epoch, p.epochs, p.step, p.steps, p.loss,
           p.learning_rate, p.examples_per_second, p.eta, p.memory
    FROM training_progress() p JOIN stored_job j ON j.job = p.job
    WHERE pg_has_role(role_id(j.owner), 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE');

CREATE OR REPLACE VIEW training_schedules AS
    SELECT s.name, s.cron,
           (SELECT c.oid::regclass FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE pg_catalog.format('%I.%I', n.nspname, c.relname) = s.relation) AS relation,
           (s.arguments ->> 'text_column')::name COLLATE "C" AS text_column,
           (s.arguments ->> 'label_column')::name COLLATE "C" AS label_column,
           s.arguments ->> 'task' AS task, s.arguments ->> 'base' AS base, s.arguments -> 'options' AS options, s.min_new_rows,
           role_id(s.owner)::regrole AS owner, s.last_run, s.last_job, s.last_outcome, s.relation AS relation_name,
           s.owner::text::name AS owner_name,
           CASE WHEN s.arguments ? 'feature_columns'
                THEN ARRAY(SELECT jsonb_array_elements_text(s.arguments -> 'feature_columns')::name) END AS feature_columns,
           CASE WHEN s.arguments ? 'key_columns'
                THEN ARRAY(SELECT jsonb_array_elements_text(s.arguments -> 'key_columns')::name) END AS key_columns,
           (s.arguments ->> 'time_column')::name COLLATE "C" AS time_column, s.retrain_if
    FROM stored_schedule s
    WHERE pg_has_role(role_id(s.owner), 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE');
COMMENT ON VIEW training_schedules IS 'models that are trained again and again';
COMMENT ON COLUMN training_schedules.relation IS 'NULL if nothing has the name now; relation_name tells which';
COMMENT ON COLUMN training_schedules.cron IS 'when pg_cron runs it; NULL if another scheduler does';
COMMENT ON COLUMN training_schedules.last_job IS 'the training of the latest run that had something to do';
COMMENT ON COLUMN training_schedules.last_outcome IS 'what became of the latest run that did not fail';
COMMENT ON COLUMN training_schedules.retrain_if IS 'what makes a training due; NULL if enough new rows do';

CREATE VIEW drift AS
    SELECT s.name, (s.drift ->> 'version')::integer AS version, s.drift_measured AS measured, m.measure, m.feature, m.value,
           m.threshold, m.drifted, m.baseline_value, m.current_value, m.p_value, m.baseline_rows, m.current_rows
    FROM stored_schedule s,
         jsonb_to_recordset(s.drift -> 'measures') AS m(
             measure text, feature text, value double precision, threshold double precision, drifted boolean,
             baseline_value double precision, current_value double precision, p_value double precision, baseline_rows bigint,
             current_rows bigint)
    WHERE pg_has_role(role_id(s.owner), 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE');
COMMENT ON VIEW drift IS 'what was measured of new rows when a schedule with retrain_if ran last';
COMMENT ON COLUMN drift.drifted IS 'NULL if there were too few rows to tell';

CREATE VIEW alerts AS
    SELECT a.name, a.alert, a.created, a.kind, a.message, a.detail, a.relation AS relation_name
    FROM stored_alert a LEFT JOIN stored_schedule s ON s.name = a.name AND a.relation IS NULL
    WHERE pg_has_role(role_id(coalesce(a.owner, s.owner)), 'USAGE')
          OR a.relation IS NULL AND pg_has_role('pg_read_all_stats', 'USAGE');
COMMENT ON VIEW alerts IS 'what somebody should look at; those who LISTEN ecommerce_ml_alerts are told of new ones';

GRANT SELECT ON drift, alerts TO PUBLIC;

ALTER TABLE stored_version DROP pinned;
ALTER TABLE stored_model DROP owner_before;
ALTER TABLE stored_schedule DROP owner_before, DROP relation_before, DROP text_column, DROP label_column, DROP task, DROP base,
    DROP options;
ALTER TABLE stored_job DROP owner_before, DROP text_column, DROP label_column, DROP task, DROP options;

-- Rows that come by a restore or by replication tell sessions, and the server, as much as those that functions write.

CREATE FUNCTION models_changed() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'models_changed_wrapper';
COMMENT ON FUNCTION models_changed() IS 'lets all sessions look again at what there is';
CREATE FUNCTION owner_changed() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'owner_changed_wrapper';
COMMENT ON FUNCTION owner_changed() IS 'lets the server know which roles rows name, so that DROP ROLE is refused';
REVOKE EXECUTE ON FUNCTION models_changed(), owner_changed() FROM PUBLIC;

CREATE TRIGGER models_changed AFTER INSERT OR UPDATE OR DELETE ON stored_model
    FOR EACH ROW EXECUTE FUNCTION models_changed();
CREATE TRIGGER models_changed AFTER INSERT OR UPDATE OR DELETE ON stored_version
    FOR EACH ROW EXECUTE FUNCTION models_changed();
CREATE TRIGGER models_changed AFTER INSERT OR UPDATE OR DELETE ON stored_pin
    FOR EACH ROW EXECUTE FUNCTION models_changed();
CREATE TRIGGER models_changed AFTER INSERT OR UPDATE OR DELETE ON stored_deployment
    FOR EACH ROW EXECUTE FUNCTION models_changed();
CREATE TRIGGER models_changed AFTER INSERT OR UPDATE OR DELETE ON stored_grant
    FOR EACH ROW EXECUTE FUNCTION models_changed();
CREATE TRIGGER owner_changed AFTER INSERT OR DELETE OR UPDATE OF owner ON stored_model
    FOR EACH ROW EXECUTE FUNCTION owner_changed('owner');
CREATE TRIGGER owner_changed AFTER INSERT OR DELETE OR UPDATE OF grantee ON stored_grant
    FOR EACH ROW EXECUTE FUNCTION owner_changed('grantee');
CREATE TRIGGER owner_changed AFTER INSERT OR DELETE OR UPDATE OF owner ON stored_job
    FOR EACH ROW EXECUTE FUNCTION owner_changed('owner');
CREATE TRIGGER owner_changed AFTER INSERT OR DELETE OR UPDATE OF owner ON stored_schedule
    FOR EACH ROW EXECUTE FUNCTION owner_changed('owner');
CREATE TRIGGER owner_changed AFTER INSERT OR DELETE OR UPDATE OF owner ON stored_alert
    FOR EACH ROW EXECUTE FUNCTION owner_changed('owner');
ALTER TABLE stored_model ENABLE ALWAYS TRIGGER models_changed, ENABLE ALWAYS TRIGGER owner_changed;
ALTER TABLE stored_version ENABLE ALWAYS TRIGGER models_changed;
ALTER TABLE stored_pin ENABLE ALWAYS TRIGGER models_changed;
ALTER TABLE stored_deployment ENABLE ALWAYS TRIGGER models_changed;
ALTER TABLE stored_grant ENABLE ALWAYS TRIGGER models_changed, ENABLE ALWAYS TRIGGER owner_changed;
ALTER TABLE stored_job ENABLE ALWAYS TRIGGER owner_changed;
ALTER TABLE stored_schedule ENABLE ALWAYS TRIGGER owner_changed;
ALTER TABLE stored_alert ENABLE ALWAYS TRIGGER owner_changed;

-- The server hears of roles from triggers.
UPDATE stored_model SET owner = owner;
UPDATE stored_grant SET grantee = grantee;
UPDATE stored_job SET owner = owner;
UPDATE stored_schedule SET owner = owner;

-- Trainings of any kind of model: arguments are appended, so calls of before stay valid.
CREATE FUNCTION train_model(
    name text, relation regclass, text_column name DEFAULT NULL, label_column name DEFAULT NULL,
    task text DEFAULT 'classification', base text DEFAULT NULL, options jsonb DEFAULT '{}',
    feature_columns name[] DEFAULT NULL, key_columns name[] DEFAULT NULL, time_column name DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000
    AS 'MODULE_PATHNAME', 'train_model_wrapper';
COMMENT ON FUNCTION train_model(text, regclass, name, name, text, text, jsonb, name[], name[], name) IS
    'train a new version of a model from rows, in the background, and return the number of the job';

CREATE FUNCTION retrain_model(name text) RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 100000
    AS 'MODULE_PATHNAME', 'retrain_model_wrapper';
COMMENT ON FUNCTION retrain_model(text) IS
    'train a model as its live version was trained, from the rows of today, and return the number of the job';

CREATE FUNCTION schedule_training(
    name text, cron text, relation regclass, text_column name DEFAULT NULL, label_column name DEFAULT NULL,
    task text DEFAULT 'classification', base text DEFAULT NULL, options jsonb DEFAULT '{}', min_new_rows bigint DEFAULT 1,
    feature_columns name[] DEFAULT NULL, key_columns name[] DEFAULT NULL, time_column name DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000
    AS 'MODULE_PATHNAME', 'schedule_training_wrapper';
COMMENT ON FUNCTION
    schedule_training(text, text, regclass, name, name, text, text, jsonb, bigint, name[], name[], name) IS
    'train new versions of a model at the times that cron names, whenever there are enough new rows';

-- Models of columns are measured, too.
CREATE FUNCTION evaluate_model(
    model text, relation regclass, text_column name DEFAULT NULL, label_column name DEFAULT NULL,
    feature_columns name[] DEFAULT NULL, key_columns name[] DEFAULT NULL, time_column name DEFAULT NULL)
    RETURNS TABLE (metric text, class text, value double precision)
    LANGUAGE c STABLE PARALLEL UNSAFE COST 1000000 ROWS 30
    AS 'MODULE_PATHNAME', 'evaluate_model_wrapper';
COMMENT ON FUNCTION evaluate_model(text, regclass, name, name, name[], name[], name) IS
    'what a model''s predictions for rows are worth, given a column of labels: for a column of texts, or for the columns that it reads';

CREATE FUNCTION confusion_matrix(
    model text, relation regclass, text_column name DEFAULT NULL, label_column name DEFAULT NULL,
    feature_columns name[] DEFAULT NULL, key_columns name[] DEFAULT NULL, time_column name DEFAULT NULL)
    RETURNS TABLE (actual text, predicted text, count bigint)
    LANGUAGE c STABLE PARALLEL UNSAFE COST 1000000 ROWS 25
    AS 'MODULE_PATHNAME', 'confusion_matrix_wrapper';
COMMENT ON FUNCTION confusion_matrix(text, regclass, name, name, name[], name[], name) IS
    'how often a model takes which class for which';

-- Whoever may call a function may call the one that takes its place; the owner's choice is no part of this script for pg_dump.
DO $$
DECLARE
    before regprocedure;
    after regprocedure;
    privilege record;
BEGIN
    FOR before, after IN SELECT b, a FROM (VALUES
        ('ecommerce_ml.train_model(text, regclass, name, name, text, text, jsonb)'::regprocedure,
         'ecommerce_ml.train_model(text, regclass, name, name, text, text, jsonb, name[], name[], name)'::regprocedure),
        ('ecommerce_ml.schedule_training(text, text, regclass, name, name, text, text, jsonb, bigint)',
         'ecommerce_ml.schedule_training(text, text, regclass, name, name, text, text, jsonb, bigint, name[], name[], name)'),
        ('ecommerce_ml.evaluate_model(text, regclass, name, name)',
         'ecommerce_ml.evaluate_model(text, regclass, name, name, name[], name[], name)'),
        ('ecommerce_ml.confusion_matrix(text, regclass, name, name)',
         'ecommerce_ml.confusion_matrix(text, regclass, name, name, name[], name[], name)'))
        AS replaced (b, a)
    LOOP
        IF (SELECT proacl IS NOT NULL FROM pg_catalog.pg_proc WHERE oid = before) THEN
            EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', after);
            FOR privilege IN
                SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee, a.is_grantable
                FROM pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) a WHERE p.oid = before AND a.grantee <> p.proowner
            LOOP
                EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %s%s', after, privilege.grantee,
                                          CASE WHEN privilege.is_grantable THEN ' WITH GRANT OPTION' END);
            END LOOP;
            DELETE FROM pg_catalog.pg_init_privs WHERE classoid = 'pg_catalog.pg_proc'::regclass AND objoid = after;
        END IF;
        EXECUTE pg_catalog.format('DROP FUNCTION %s', before);
    END LOOP;
END $$;

-- A wait that holds no snapshot.
CREATE PROCEDURE await_job(job bigint, timeout interval DEFAULT NULL, INOUT state text DEFAULT NULL)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'await_job_wrapper';
COMMENT ON PROCEDURE await_job(bigint, interval, text) IS
    'wait until a training has ended, or the time is over, holding no snapshot meanwhile; state is that of the job';

CREATE FUNCTION progress(job bigint) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED COST 1000
    AS 'MODULE_PATHNAME', 'progress_wrapper';
COMMENT ON FUNCTION progress(bigint) IS 'where a training is, in a line of at most 80 columns';

-- They run queries of the caller's, which need not be fit for a parallel operation.
ALTER FUNCTION evaluate_predictions(regclass, name, name) PARALLEL UNSAFE;

CREATE OR REPLACE VIEW stat_engine AS
    SELECT CASE WHEN e IS NULL THEN 'stopped' WHEN e.build IS NULL THEN 'not responding' ELSE 'running' END AS state,
           e.*, now() - e.started AS uptime
    FROM (VALUES (1)) AS one LEFT JOIN engine_stats() e ON true;
COMMENT ON COLUMN stat_engine.state IS
    'running, stopped, or not responding: all is NULL then that only the engine knows';

-- Rows as input

COMMENT ON FUNCTION text_function_support(internal) IS
    'tells the planner what functions of one input cost, and marks those that can be called for many rows at once';

CREATE FUNCTION predict_rating(input record, model text) RETURNS real
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'predict_rating_of_record_wrapper';
COMMENT ON FUNCTION predict_rating(record, text) IS 'expected stars, from 1 to 5, of a row, whose columns are found by name, by a named model';

CREATE FUNCTION predict_rating(input jsonb, model text) RETURNS real
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'predict_rating_of_jsonb_wrapper';
COMMENT ON FUNCTION predict_rating(jsonb, text) IS 'expected stars, from 1 to 5, of an object, whose keys are columns, by a named model';

CREATE FUNCTION predict_class(input record, model text) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'predict_class_of_record_wrapper';
COMMENT ON FUNCTION predict_class(record, text) IS 'likeliest class, as the model names it, of a row, whose columns are found by name, by a named model';

CREATE FUNCTION predict_class(input jsonb, model text) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'predict_class_of_jsonb_wrapper';
COMMENT ON FUNCTION predict_class(jsonb, text) IS 'likeliest class, as the model names it, of an object, whose keys are columns, by a named model';

CREATE FUNCTION predict_probabilities(input record, model text) RETURNS jsonb
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'predict_probabilities_of_record_wrapper';
COMMENT ON FUNCTION predict_probabilities(record, text) IS 'probability of each class, of a row, whose columns are found by name, by a named model';

CREATE FUNCTION predict_probabilities(input jsonb, model text) RETURNS jsonb
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'predict_probabilities_of_jsonb_wrapper';
COMMENT ON FUNCTION predict_probabilities(jsonb, text) IS 'probability of each class, of an object, whose keys are columns, by a named model';

CREATE FUNCTION predict_value(input record, model text) RETURNS double precision
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'predict_value_of_record_wrapper';
COMMENT ON FUNCTION predict_value(record, text) IS 'value of a regression model, of a row, whose columns are found by name, by a named model';

CREATE FUNCTION predict_value(input jsonb, model text) RETURNS double precision
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'predict_value_of_jsonb_wrapper';
COMMENT ON FUNCTION predict_value(jsonb, text) IS 'value of a regression model, of an object, whose keys are columns, by a named model';

-- How sure an answer is

CREATE FUNCTION predict_confidence(review text) RETURNS real
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'predict_confidence_wrapper';
COMMENT ON FUNCTION predict_confidence(text) IS 'probability of what is answered: of the sentiment, else of the class';

CREATE FUNCTION predict_confidence(review text, model text) RETURNS real
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'predict_confidence_by_wrapper';
COMMENT ON FUNCTION predict_confidence(text, text) IS 'probability of what is answered: of the sentiment, else of the class, by a named model';

CREATE FUNCTION predict_confidence(reviews text[]) RETURNS real[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20000
    AS 'MODULE_PATHNAME', 'predict_confidence_all_wrapper';
COMMENT ON FUNCTION predict_confidence(text[]) IS 'probability of what is answered: of the sentiment, else of the class, for each element';

CREATE FUNCTION predict_confidence(reviews text[], model text) RETURNS real[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20000
    AS 'MODULE_PATHNAME', 'predict_confidence_all_by_wrapper';
COMMENT ON FUNCTION predict_confidence(text[], text) IS 'probability of what is answered: of the sentiment, else of the class, for each element, by a named model';

CREATE FUNCTION predict_confidence(input record, model text) RETURNS real
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'predict_confidence_of_record_wrapper';
COMMENT ON FUNCTION predict_confidence(record, text) IS 'probability of the likeliest class, of a row, whose columns are found by name, by a named model';

CREATE FUNCTION predict_confidence(input jsonb, model text) RETURNS real
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'predict_confidence_of_jsonb_wrapper';
COMMENT ON FUNCTION predict_confidence(jsonb, text) IS 'probability of the likeliest class, of an object, whose keys are columns, by a named model';

-- Explanations: what took a prediction where it is. Relations are read as the calling role.

CREATE FUNCTION explain_prediction(review text, model text DEFAULT NULL, label text DEFAULT NULL)
    RETURNS TABLE (token text, start integer, length integer, contribution real)
    LANGUAGE c STABLE PARALLEL SAFE COST 100000 ROWS 60
    AS 'MODULE_PATHNAME', 'explain_prediction_wrapper';
COMMENT ON FUNCTION explain_prediction(text, text, text) IS
    'what each token of a text contributes to its stars, score, value or class, or to the probability of a label';
CREATE FUNCTION explain_prediction(input record, model text, label text DEFAULT NULL)
    RETURNS TABLE (feature text, value text, contribution double precision)
    LANGUAGE c STABLE PARALLEL SAFE COST 10000 ROWS 20
    AS 'MODULE_PATHNAME', 'explain_prediction_of_record_wrapper';
COMMENT ON FUNCTION explain_prediction(record, text, text) IS
    'what each column of a row contributes to the raw score of its class or of a label, or to its value';
CREATE FUNCTION explain_prediction(input jsonb, model text, label text DEFAULT NULL)
    RETURNS TABLE (feature text, value text, contribution double precision)
    LANGUAGE c STABLE PARALLEL SAFE COST 10000 ROWS 20
    AS 'MODULE_PATHNAME', 'explain_prediction_of_jsonb_wrapper';
COMMENT ON FUNCTION explain_prediction(jsonb, text, text) IS
    'what each value of an object contributes to the raw score of its class or of a label, or to its value';
CREATE FUNCTION explain_model(model text)
    RETURNS TABLE (feature text, importance double precision)
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100 ROWS 20
    AS 'MODULE_PATHNAME', 'explain_model_wrapper';
COMMENT ON FUNCTION explain_model(text) IS 'the part of each column in what a model goes by; of series, of trend, season and remainder, and of each method; of ensembles, of each member';

CREATE FUNCTION detect_anomalies(model text, relation regclass DEFAULT NULL, budget integer DEFAULT NULL)
    RETURNS TABLE (keys jsonb, "time" timestamp with time zone, observed double precision, expected double precision,
                   lower double precision, upper double precision, score double precision, reason jsonb)
    LANGUAGE c STABLE PARALLEL UNSAFE COST 10000000 ROWS 100
    AS 'MODULE_PATHNAME', 'detect_anomalies_wrapper';
COMMENT ON FUNCTION detect_anomalies(text, regclass, integer) IS
    'the rows, or periods of series, of a relation that are most unlike what a model has learned, and what speaks for it';

-- How recommend asks: a value for each customer, which the executor asks a model for many at once, and rows of it.
CREATE TYPE recommendation_query AS (
    customer text,
    history text,
    count integer,
    exclude_seen boolean,
    candidates text,
    diversity double precision
);
COMMENT ON TYPE recommendation_query IS 'what recommend asks a model for one customer';
CREATE FUNCTION recommendations_as_text(query recommendation_query, model text) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'recommendations_as_text_wrapper';
COMMENT ON FUNCTION recommendations_as_text(recommendation_query, text) IS
    'what a model recommends for one customer, to be read by recommendations_from_text';
CREATE FUNCTION recommendations_from_text(recommendations text)
    RETURNS TABLE (rank integer, item text, score double precision, because text[])
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100 ROWS 10
    AS 'MODULE_PATHNAME', 'recommendations_from_text_wrapper';
COMMENT ON FUNCTION recommendations_from_text(text) IS 'what recommendations_as_text gave, as rows';
CREATE FUNCTION recommendation_candidates(model text, relation regclass) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 100000
    AS 'MODULE_PATHNAME', 'recommendation_candidates_wrapper';
COMMENT ON FUNCTION recommendation_candidates(text, regclass) IS
    'the items of a relation that a model may recommend, to be read by recommendations_as_text';
CREATE FUNCTION recommend(model text, customer text, count integer DEFAULT 10, history text[] DEFAULT NULL,
                          exclude_seen boolean DEFAULT true, candidates regclass DEFAULT NULL,
                          diversity double precision DEFAULT 0)
    RETURNS TABLE (rank integer, item text, score double precision, because text[])
    LANGUAGE sql STABLE PARALLEL RESTRICTED COST 10000 ROWS 10
BEGIN ATOMIC
    -- Without volatile or strict parts, so that it is inlined, and its calls are batched; the subquery is run once a statement.
    SELECT found.rank, found.item, found.score, found.because
    FROM recommendations_from_text(recommendations_as_text(
        ROW(recommend.customer, pg_catalog.to_json(recommend.history)::text, recommend.count, recommend.exclude_seen,
            CASE WHEN recommend.candidates IS NOT NULL
                 THEN (SELECT recommendation_candidates(recommend.model, recommend.candidates)) END,
            recommend.diversity)::recommendation_query,
        recommend.model)) AS found;
END;
COMMENT ON FUNCTION recommend(text, text, integer, text[], boolean, regclass, double precision) IS
    'the items that a customer, or someone with a history, may want next, and the items of the history that speak for each';
CREATE FUNCTION similar_items(model text, item text, count integer DEFAULT 10)
    RETURNS TABLE (rank integer, item text, score double precision)
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10000 ROWS 10
    AS 'MODULE_PATHNAME', 'similar_items_wrapper';
COMMENT ON FUNCTION similar_items(text, text, integer) IS 'the items that having an item speaks for most';

CREATE FUNCTION predict_interval(input record, model text, level double precision DEFAULT 0.8)
    RETURNS TABLE (value double precision, lower double precision, upper double precision)
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10000 ROWS 1 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'predict_interval_of_record_wrapper';
COMMENT ON FUNCTION predict_interval(record, text, double precision) IS
    'value or stars of a row, and where its actual value is expected with a probability of so much';
CREATE FUNCTION predict_interval(input jsonb, model text, level double precision DEFAULT 0.8)
    RETURNS TABLE (value double precision, lower double precision, upper double precision)
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10000 ROWS 1 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'predict_interval_of_jsonb_wrapper';
COMMENT ON FUNCTION predict_interval(jsonb, text, double precision) IS
    'value or stars of an object, and where its actual value is expected with a probability of so much';
CREATE FUNCTION prediction_of(input record, model text) RETURNS double precision[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'prediction_of_record_wrapper';
COMMENT ON FUNCTION prediction_of(record, text) IS 'value of a row, or the probability of each class in the order of the model''s labels';
CREATE FUNCTION prediction_of(input jsonb, model text) RETURNS double precision[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 50 SUPPORT text_function_support
    AS 'MODULE_PATHNAME', 'prediction_of_jsonb_wrapper';
COMMENT ON FUNCTION prediction_of(jsonb, text) IS 'value of an object, or the probability of each class in the order of the model''s labels';
CREATE FUNCTION interval_of(prediction double precision[], model text, level double precision)
    RETURNS TABLE (value double precision, lower double precision, upper double precision)
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100 ROWS 1
    AS 'MODULE_PATHNAME', 'interval_of_wrapper';
COMMENT ON FUNCTION interval_of(double precision[], text, double precision) IS
    'where the actual value of a prediction is expected: what predict_interval is taken apart into where rows are asked in batches';

CREATE FUNCTION predict_aspects(review text, aspects text[] DEFAULT NULL, model text DEFAULT NULL)
    RETURNS TABLE (aspect text, sentiment text, score real, start integer, length integer)
    LANGUAGE c STABLE PARALLEL SAFE COST 10000 ROWS 4
    AS 'MODULE_PATHNAME', 'predict_aspects_wrapper';
COMMENT ON FUNCTION predict_aspects(text, text[], text) IS
    'the aspects of shops, or those that are named, that a review speaks of, clause by clause, with their sentiment';
CREATE FUNCTION summarize_aspects(
    relation regclass, text_column name, key_column name DEFAULT NULL, aspects text[] DEFAULT NULL, model text DEFAULT NULL)
    RETURNS TABLE (key text, aspect text, reviews bigint, negative bigint, neutral bigint, positive bigint, score double precision,
                   worst text, best text)
    LANGUAGE c STABLE PARALLEL UNSAFE COST 10000000 ROWS 100
    AS 'MODULE_PATHNAME', 'summarize_aspects_wrapper';
COMMENT ON FUNCTION summarize_aspects(regclass, name, name, text[], text) IS
    'what the reviews of each key say of each aspect, those first that most reviews speak of';

CREATE FUNCTION key_phrases(
    relation regclass, text_column name, key_column name DEFAULT NULL, model text DEFAULT NULL, options jsonb DEFAULT '{}')
    RETURNS TABLE (key text, phrase text, sentiment text, reviews bigint, contribution double precision, example text)
    LANGUAGE c STABLE PARALLEL UNSAFE COST 10000000 ROWS 100
    AS 'MODULE_PATHNAME', 'key_phrases_wrapper';
COMMENT ON FUNCTION key_phrases(regclass, name, name, text, jsonb) IS
    'the phrases that drive what a model says of the texts of each key, most in all first';

CREATE FUNCTION report_reviews(
    relation regclass, text_column name, product_column name DEFAULT NULL, time_column name DEFAULT NULL,
    options jsonb DEFAULT '{}')
    RETURNS TABLE (section text, title text, body jsonb)
    LANGUAGE c STABLE PARALLEL UNSAFE COST 10000000 ROWS 200
    AS 'MODULE_PATHNAME', 'report_reviews_wrapper';
COMMENT ON FUNCTION report_reviews(regclass, name, name, name, jsonb) IS
    'what reviews say by product, topic and period, what changed against the period before and whether chance explains it';

CREATE FUNCTION render_report(
    relation regclass, text_column name, product_column name DEFAULT NULL, time_column name DEFAULT NULL,
    options jsonb DEFAULT '{}') RETURNS text
    LANGUAGE c STABLE PARALLEL UNSAFE COST 10000000
    AS 'MODULE_PATHNAME', 'render_report_wrapper';
COMMENT ON FUNCTION render_report(regclass, name, name, name, jsonb) IS
    'the same as one HTML page, with pictures, that needs nothing else';

CREATE FUNCTION match_answers(
    question text, relation regclass, question_column name, answer_column name, count integer DEFAULT 5,
    embedding_column name DEFAULT NULL, model text DEFAULT NULL, min_confidence double precision DEFAULT 0.5,
    lexical_weight double precision DEFAULT 0.7, config regconfig DEFAULT 'pg_catalog.simple')
    RETURNS TABLE (rank integer, answer text, matched_question text, score double precision, semantic_score double precision,
                   lexical_score double precision, confidence double precision)
    LANGUAGE c STABLE PARALLEL UNSAFE COST 1000000 ROWS 5
    AS 'MODULE_PATHNAME', 'match_answers_wrapper';
COMMENT ON FUNCTION match_answers(
    text, regclass, name, name, integer, name, text, double precision, double precision, regconfig) IS
    'the answers of a relation whose questions are most like this one, the best first; none if even that is too unlikely to be right';

-- Planning. Arithmetic, and statistics of the rows of a relation, which are read as the calling role; no model is asked.

CREATE FUNCTION safety_stock(
    demand_mean double precision, demand_sd double precision, lead_time double precision,
    lead_time_sd double precision DEFAULT 0, service_level double precision DEFAULT 0.95,
    review_period double precision DEFAULT 0) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
    AS 'MODULE_PATHNAME', 'safety_stock_wrapper';
COMMENT ON FUNCTION safety_stock(
    double precision, double precision, double precision, double precision, double precision, double precision) IS
    'stock beyond mean demand, so that it lasts until a delivery with probability service_level; times in the periods of the demand';

CREATE FUNCTION reorder_point(
    demand_mean double precision, demand_sd double precision, lead_time double precision,
    lead_time_sd double precision DEFAULT 0, service_level double precision DEFAULT 0.95,
    review_period double precision DEFAULT 0) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
    AS 'MODULE_PATHNAME', 'reorder_point_wrapper';
COMMENT ON FUNCTION reorder_point(
    double precision, double precision, double precision, double precision, double precision, double precision) IS
    'the stock, on hand and on order, at which to order: mean demand until the delivery, and safety stock';

CREATE FUNCTION newsvendor_quantity(
    demand_mean double precision, demand_sd double precision, underage_cost double precision, overage_cost double precision)
    RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
    AS 'MODULE_PATHNAME', 'newsvendor_quantity_wrapper';
COMMENT ON FUNCTION newsvendor_quantity(double precision, double precision, double precision, double precision) IS
    'what to order once for a normally distributed demand, given what a unit too few and a unit too many cost';

CREATE FUNCTION newsvendor_quantity(
    levels double precision[], quantiles double precision[], underage_cost double precision, overage_cost double precision)
    RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
    AS 'MODULE_PATHNAME', 'newsvendor_quantity_of_quantiles_wrapper';
COMMENT ON FUNCTION newsvendor_quantity(double precision[], double precision[], double precision, double precision) IS
    'what to order once for a demand whose quantiles at these levels are known';

CREATE FUNCTION optimal_price(
    elasticity double precision, unit_cost double precision, lower double precision DEFAULT 0,
    upper double precision DEFAULT 'Infinity') RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
    AS 'MODULE_PATHNAME', 'optimal_price_wrapper';
COMMENT ON FUNCTION optimal_price(double precision, double precision, double precision, double precision) IS
    'the price of most profit between bounds, for a demand of constant elasticity';

CREATE FUNCTION forecast(
    model text, horizon integer DEFAULT NULL, level double precision DEFAULT 0.8, keys jsonb DEFAULT NULL,
    future regclass DEFAULT NULL, history regclass DEFAULT NULL)
    RETURNS TABLE (keys jsonb, "time" timestamp with time zone, value double precision, lower double precision,
                   upper double precision, method text)
    LANGUAGE c STABLE PARALLEL RESTRICTED COST 100000 ROWS 10000
    AS 'MODULE_PATHNAME', 'forecast_wrapper';
COMMENT ON FUNCTION forecast(text, integer, double precision, jsonb, regclass, regclass) IS
    'what the series of a model come to, with intervals that cover a part of the values';

CREATE FUNCTION plan_orders(
    model text, stock regclass, lead_time double precision DEFAULT NULL, service_level double precision DEFAULT 0.95,
    underage_cost double precision DEFAULT NULL, overage_cost double precision DEFAULT NULL,
    review_period double precision DEFAULT 1)
    RETURNS TABLE (keys jsonb, order_quantity double precision, reorder_point double precision, stockout_risk double precision,
                   expected_cost double precision, why text)
    LANGUAGE c STABLE PARALLEL UNSAFE COST 1000000 ROWS 1000
    AS 'MODULE_PATHNAME', 'plan_orders_wrapper';
COMMENT ON FUNCTION plan_orders(
    text, regclass, double precision, double precision, double precision, double precision, double precision) IS
    'what to order now of each series of a forecasting model, given a relation of what is in stock: enough for the time until the next order has come';

CREATE FUNCTION predict_lifetime(model text, horizon interval)
    RETURNS TABLE (customer text, alive double precision, purchases double precision, value double precision,
                   lower double precision, upper double precision)
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100000 ROWS 1000
    AS 'MODULE_PATHNAME', 'predict_lifetime_wrapper';
COMMENT ON FUNCTION predict_lifetime(text, interval) IS
    'what each customer of a model will do in the time after the last purchase that it knows: still buy, how often, for how much, with an 80 % interval';

CREATE FUNCTION price_response(model text)
    RETURNS TABLE (keys jsonb, elasticity double precision, std_error double precision, lower double precision,
                   upper double precision, observations bigint, warning text)
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100000 ROWS 1000
    AS 'MODULE_PATHNAME', 'price_response_wrapper';
COMMENT ON FUNCTION price_response(text) IS
    'how the sales that a model knows respond to prices: the elasticity of all, of each category and of each key, with a 95 % interval, and what to mind';
CREATE FUNCTION plot_forecast(
    model text, keys jsonb DEFAULT NULL, horizon integer DEFAULT NULL, level double precision DEFAULT 0.8) RETURNS text
    LANGUAGE c STABLE PARALLEL UNSAFE COST 1000000
    AS 'MODULE_PATHNAME', 'plot_forecast_wrapper';
COMMENT ON FUNCTION plot_forecast(text, jsonb, integer, double precision) IS
    'one series of a model as a picture in SVG: the past, if the calling role may read it, what it comes to, and intervals';

CREATE FUNCTION trends(
    relation regclass, key_column name, time_column name, value_column name, period text DEFAULT NULL,
    aggregate text DEFAULT 'sum', season integer DEFAULT NULL, alpha double precision DEFAULT 0.05)
    RETURNS TABLE (key text, observations bigint, periods bigint, period_unit text, season_length integer, median double precision,
                   slope double precision, lower double precision, upper double precision, p_value double precision,
                   q_value double precision, direction text)
    LANGUAGE c STABLE PARALLEL UNSAFE COST 1000000 ROWS 1000
    AS 'MODULE_PATHNAME', 'trends_wrapper';
COMMENT ON FUNCTION trends(regclass, name, name, name, text, text, integer, double precision) IS
    'which keys rise or fall: slope a period, tested with the rate of false discoveries under control, the surest first';

CREATE FUNCTION measure_drift(
    model text, relation regclass, text_column name DEFAULT NULL, feature_columns name[] DEFAULT NULL,
    baseline text DEFAULT NULL, current text DEFAULT NULL, label_column name DEFAULT NULL,
    alpha double precision DEFAULT 0.001, sample_rows integer DEFAULT 10000)
    RETURNS TABLE (measure text, value double precision, threshold double precision, drifted boolean, feature text,
                   baseline_value double precision, current_value double precision, lower double precision,
                   upper double precision, p_value double precision, baseline_rows bigint, current_rows bigint)
    LANGUAGE c STABLE PARALLEL UNSAFE COST 10000000 ROWS 20
    AS 'MODULE_PATHNAME', 'measure_drift_wrapper';
COMMENT ON FUNCTION measure_drift(text, regclass, name, name[], text, text, name, double precision, integer) IS
    'whether rows, and what a model says of them, have drifted from other rows or from those that it was measured on in training';

CREATE FUNCTION key_drivers(
    relation regclass, metric name, is_test name, dimensions name[], aggregate text DEFAULT 'sum',
    max_dimensions integer DEFAULT 2, min_support double precision DEFAULT 0.01, alpha double precision DEFAULT 0.05)
    RETURNS TABLE (segment jsonb, test_rows bigint, control_rows bigint, test_value double precision,
                   control_value double precision, contribution double precision, share double precision,
                   expected double precision, lift double precision, p_value double precision, q_value double precision,
                   significant boolean)
    LANGUAGE c STABLE PARALLEL UNSAFE COST 1000000 ROWS 100
    AS 'MODULE_PATHNAME', 'key_drivers_wrapper';
COMMENT ON FUNCTION key_drivers(regclass, name, name, name[], text, integer, double precision, double precision) IS
    'which segments explain that a metric differs between two groups or periods: the whole first, then those that chance does not explain';

CREATE FUNCTION rfm(
    relation regclass, customer_column name, time_column name, amount_column name DEFAULT NULL,
    as_of timestamp with time zone DEFAULT NULL)
    RETURNS TABLE (customer text, last_purchase timestamp with time zone, recency double precision, frequency bigint,
                   monetary double precision, recency_score integer, frequency_score integer, monetary_score integer,
                   segment text)
    LANGUAGE c STABLE PARALLEL UNSAFE COST 1000000 ROWS 1000
    AS 'MODULE_PATHNAME', 'rfm_wrapper';
COMMENT ON FUNCTION rfm(regclass, name, name, name, timestamp with time zone) IS
    'customers by recency, frequency and money, with scores from 1 to 5 and a segment, as of now or another moment';

-- Features and labels of customers. Rows are read as the calling role.

CREATE FUNCTION training_window_statement(
    relation regclass, customer_column name, time_column name, cutoff timestamptz, horizon interval, amount_column name,
    complete_until timestamptz) RETURNS text
    LANGUAGE c STABLE PARALLEL UNSAFE COST 1000
    AS 'MODULE_PATHNAME', 'training_window_statement_wrapper';
COMMENT ON FUNCTION training_window_statement(regclass, name, name, timestamptz, interval, name, timestamptz) IS
    'the query that training_window runs, with cutoff and horizon as its parameters';

CREATE FUNCTION training_window(
    relation regclass, customer_column name, time_column name, cutoff timestamptz, horizon interval,
    amount_column name DEFAULT NULL, complete_until timestamptz DEFAULT NULL)
    RETURNS TABLE (
        customer text, recency double precision, tenure double precision, purchases bigint,
        purchases_30 bigint, purchases_90 bigint, purchases_365 bigint,
        mean_gap double precision, median_gap double precision, longest_gap double precision,
        mean_amount double precision, median_amount double precision, total_amount double precision,
        amount_365 double precision,
        bought_again boolean, next_purchases bigint, next_amount double precision)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE COST 1000000 ROWS 1000
    AS $$
BEGIN
    RETURN QUERY EXECUTE ecommerce_ml.training_window_statement($1, $2, $3, $4, $5, $6, $7) USING $4, $5;
END $$;
COMMENT ON FUNCTION training_window(regclass, name, name, timestamptz, interval, name, timestamptz) IS
    'what was known of each customer before a moment, and whether and for how much they bought in the time after it';

-- Kept columns. Done as the owner of the table; what is kept is told by the trigger alone.

CREATE FUNCTION write_kept_row() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'write_kept_row_wrapper';
COMMENT ON FUNCTION write_kept_row() IS
    'the trigger of a kept column, made by keep_column: marks rows as stale, or has them answered at once';

CREATE FUNCTION keep_column(
    relation regclass, column_name name, expression text, refresh text DEFAULT 'background', options jsonb DEFAULT '{}')
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000
    AS 'MODULE_PATHNAME', 'keep_column_wrapper';
COMMENT ON FUNCTION keep_column(regclass, name, text, text, jsonb) IS
    'keep what an expression over models says of each row in a column, in the background or while rows are written';

CREATE FUNCTION refresh_column(relation regclass, column_name name) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000000
    AS 'MODULE_PATHNAME', 'refresh_column_wrapper';
COMMENT ON FUNCTION refresh_column(regclass, name) IS 'wait until no row of a kept column is stale';

CREATE FUNCTION forget_column(relation regclass, column_name name) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
    AS 'MODULE_PATHNAME', 'forget_column_wrapper';
COMMENT ON FUNCTION forget_column(regclass, name) IS 'keep a column no longer; its values stay';

CREATE FUNCTION kept_column_stats(
    OUT relation oid, OUT column_name text, OUT expression text, OUT refresh text, OUT model text, OUT rows bigint,
    OUT fresh bigint, OUT rows_per_second double precision, OUT eta interval, OUT last_error text) RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 1000000 ROWS 5
    AS 'MODULE_PATHNAME', 'kept_column_stats_wrapper';
COMMENT ON FUNCTION kept_column_stats() IS 'kept columns of tables of the calling role, with their rows counted';

CREATE FUNCTION watch_written_row() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'watch_written_row_wrapper';
COMMENT ON FUNCTION watch_written_row() IS
    'the second trigger of watched rows that are scored while they are written, made by watch_rows: adds alerts';

CREATE FUNCTION watch_rows(
    relation regclass, model text, condition text DEFAULT 'true', budget integer DEFAULT 10,
    refresh text DEFAULT 'background', options jsonb DEFAULT '{}') RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000
    AS 'MODULE_PATHNAME', 'watch_rows_wrapper';
COMMENT ON FUNCTION watch_rows(regclass, text, text, integer, text, jsonb) IS
    'score rows when they are written, and make alerts of those that meet a condition, the highest scores of a day';

CREATE FUNCTION unwatch_rows(relation regclass, model text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
    AS 'MODULE_PATHNAME', 'unwatch_rows_wrapper';
COMMENT ON FUNCTION unwatch_rows(regclass, text) IS 'watch rows no longer; their scores stay, alerts are dropped';

CREATE FUNCTION watched_row_stats(
    OUT relation oid, OUT model text, OUT condition text, OUT budget bigint, OUT refresh text, OUT score_column text,
    OUT waiting bigint, OUT last_error text, OUT relation_name text) RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 1000000 ROWS 5
    AS 'MODULE_PATHNAME', 'watched_row_stats_wrapper';
COMMENT ON FUNCTION watched_row_stats() IS 'what is watched in tables of the calling role, with rows counted that wait';

CREATE VIEW kept_columns AS
    SELECT relation::regclass AS relation, column_name::name COLLATE "C" AS column_name, expression, refresh, model, rows, fresh,
           rows - fresh AS stale, rows_per_second, eta, last_error
    FROM kept_column_stats();
COMMENT ON VIEW kept_columns IS 'columns that hold what an expression over models says of each row, of tables of the calling role';
COMMENT ON COLUMN kept_columns.model IS 'live versions of the models that the expression asks';
COMMENT ON COLUMN kept_columns.rows IS 'rows of the table, counted when the view is read';
COMMENT ON COLUMN kept_columns.fresh IS 'rows whose value is what the live versions answer';
COMMENT ON COLUMN kept_columns.rows_per_second IS 'lately, while rows are being scored';
COMMENT ON COLUMN kept_columns.eta IS 'time until all rows are fresh, as estimated';
COMMENT ON COLUMN kept_columns.last_error IS 'why rows are stale that were to be scored; NULL if all went well';
GRANT SELECT ON kept_columns TO PUBLIC;

CREATE VIEW watched_rows AS
    SELECT w.relation::regclass AS relation, w.model, w.condition, w.budget, w.refresh,
           w.score_column::name COLLATE "C" AS score_column, w.waiting,
           (SELECT count(*) FROM stored_alert a
            WHERE a.name = split_part(w.model, '@', 1) AND a.relation = w.relation_name
              AND a.created > clock_timestamp() - interval '24 hours') AS alerts,
           w.last_error
    FROM watched_row_stats() w;
COMMENT ON VIEW watched_rows IS 'tables of the calling role whose rows are scored when they are written, to be alerted of some';
COMMENT ON COLUMN watched_rows.budget IS 'most alerts within 24 hours';
COMMENT ON COLUMN watched_rows.waiting IS 'rows that have no score yet, counted when the view is read';
COMMENT ON COLUMN watched_rows.alerts IS 'of the last 24 hours';
GRANT SELECT ON watched_rows TO PUBLIC;

-- Last, since they would fire for what is made above.

CREATE FUNCTION heed_command() RETURNS event_trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'heed_command_wrapper';
COMMENT ON FUNCTION heed_command() IS 'lets DROP OWNED have its way with models, and keeps our schema its name';

-- As its owner, so that whoever makes a table needs no privileges here.
CREATE FUNCTION refuse_constraint() RETURNS event_trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed oid[] := ARRAY(SELECT objid FROM pg_event_trigger_ddl_commands()
                           WHERE classid IN ('pg_class'::regclass, 'pg_type'::regclass));
    -- What was there before stays.
    place text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE contype = 'c' AND (conrelid = ANY (changed) OR contypid = ANY (changed)))
       AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = ANY (changed) AND attgenerated <> '')
       AND NOT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = ANY (changed) AND partexprs IS NOT NULL)
    THEN
        RETURN;
    END IF;
    SELECT a.place INTO place FROM ecommerce_ml.asking_constraint a
    WHERE a.relation = ANY (changed) AND age(a.xmin) <= age(pg_current_xact_id()::xid) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
            MESSAGE = format('%s cannot ask a model', place),
            DETAIL = 'Its answers change when a model is deployed, and the table may be restored before the models are.',
            HINT = 'Let a trigger ask, or keep answers in a table of their own.';
    END IF;
END $$;
COMMENT ON FUNCTION refuse_constraint() IS 'refuses constraints and generated columns that ask a model';

-- A role that may only put triggers on a table must not have the expression of one evaluated as the owner. As whoever makes it.
CREATE FUNCTION refuse_keeper() RETURNS event_trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place text;
BEGIN
    SELECT c.relname INTO place
    FROM pg_event_trigger_ddl_commands() d
    JOIN pg_trigger t ON t.oid = d.objid AND d.classid = 'pg_trigger'::regclass
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_proc p ON p.oid = t.tgfoid AND p.proname IN ('write_kept_row', 'watch_written_row')
    JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'ecommerce_ml'
    WHERE NOT pg_has_role(c.relowner, 'USAGE') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = format('must be owner of table "%s"', place);
    END IF;
END $$;
COMMENT ON FUNCTION refuse_keeper() IS 'lets only owners of a table keep columns in it';

CREATE VIEW asking_function AS
    WITH RECURSIVE ours AS (
        -- In all forms, those that aren't batched too.
        SELECT p.oid, p.proname FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'ecommerce_ml'::pg_catalog.regnamespace AND (p.proname IN ('explain_prediction', 'predict_aspects', 'predict_interval') OR p.proname IN (
            SELECT s.proname FROM pg_catalog.pg_proc s
            WHERE s.prosupport = 'ecommerce_ml.text_function_support'::pg_catalog.regproc))
    ), named AS (
        -- Bodies that are strings.
        SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        WHERE l.lanname NOT IN ('internal', 'c') AND p.pronamespace <> 'ecommerce_ml'::pg_catalog.regnamespace
          AND (p.prosrc ~* '\mecommerce_ml\M' OR p.proconfig::text ~* '\mecommerce_ml\M')
          AND p.prosrc ~* (SELECT '\m(' || pg_catalog.string_agg(DISTINCT proname, '|') || ')\M' FROM ours)
    ), asking AS (
        SELECT oid FROM ours
        UNION SELECT oid FROM named
        UNION
        -- Bodies that the server has understood.
        SELECT d.objid FROM pg_catalog.pg_depend d JOIN asking a ON a.oid = d.refobjid
        WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
          AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    )
    SELECT oid FROM asking;
COMMENT ON VIEW asking_function IS 'functions that ask a model, as far as the catalogs tell';

CREATE VIEW asking_constraint AS
    SELECT c.xmin, coalesce(nullif(c.conrelid, 0), c.contypid) AS relation,
           CASE WHEN c.conrelid <> 0
                THEN pg_catalog.format('constraint "%s" of table "%s"', c.conname, c.conrelid::pg_catalog.regclass)
                ELSE pg_catalog.format('constraint "%s" of domain "%s"', c.conname, c.contypid::pg_catalog.regtype)
           END AS place
    FROM pg_catalog.pg_constraint c
    WHERE c.contype = 'c' AND EXISTS (
        SELECT FROM pg_catalog.pg_depend d JOIN asking_function f ON f.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = c.oid
          AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass)
    UNION ALL
    SELECT a.xmin, a.adrelid,
           pg_catalog.format('generated column "%s" of table "%s"', t.attname, a.adrelid::pg_catalog.regclass)
    FROM pg_catalog.pg_attrdef a
    JOIN pg_catalog.pg_attribute t ON t.attrelid = a.adrelid AND t.attnum = a.adnum AND t.attgenerated <> ''
    WHERE EXISTS (
        SELECT FROM pg_catalog.pg_depend d JOIN asking_function f ON f.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = a.oid
          AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass)
    UNION ALL
    SELECT p.xmin, p.partrelid, pg_catalog.format('partition key of table "%s"', p.partrelid::pg_catalog.regclass)
    FROM pg_catalog.pg_partitioned_table p
    WHERE p.partexprs IS NOT NULL AND EXISTS (
        SELECT FROM pg_catalog.pg_depend d JOIN asking_function f ON f.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = p.partrelid
          AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass);
COMMENT ON VIEW asking_constraint IS 'what asks a model whenever a row is written, be it by a restore';
GRANT SELECT ON asking_constraint TO PUBLIC;

CREATE EVENT TRIGGER ecommerce_ml_heed_command ON ddl_command_start WHEN TAG IN ('DROP OWNED', 'ALTER SCHEMA')
    EXECUTE FUNCTION heed_command();
COMMENT ON EVENT TRIGGER ecommerce_ml_heed_command IS 'DROP OWNED and ALTER SCHEMA, for ecommerce_ml';
CREATE EVENT TRIGGER ecommerce_ml_refuse_constraint ON ddl_command_end
    WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE', 'CREATE DOMAIN', 'ALTER DOMAIN',
                 'CREATE SCHEMA')
    EXECUTE FUNCTION refuse_constraint();
COMMENT ON EVENT TRIGGER ecommerce_ml_refuse_constraint IS 'constraints that ask a model, for ecommerce_ml';
CREATE EVENT TRIGGER ecommerce_ml_refuse_keeper ON ddl_command_end WHEN TAG IN ('CREATE TRIGGER')
    EXECUTE FUNCTION refuse_keeper();
COMMENT ON EVENT TRIGGER ecommerce_ml_refuse_keeper IS 'who may keep columns, for ecommerce_ml';

DO $$
DECLARE
    asking record;
BEGIN
    FOR asking IN SELECT place FROM ecommerce_ml.asking_constraint LOOP
        RAISE WARNING USING MESSAGE = pg_catalog.format('%s asks a model', asking.place),
            DETAIL = 'From this version on that is refused where it is new: answers change when a model is deployed, and the '
                     'table may be restored before the models are.',
            HINT = 'Drop it, and let a trigger ask. Until then, restore a dump with session_replication_role = replica.';
    END LOOP;
END $$;
