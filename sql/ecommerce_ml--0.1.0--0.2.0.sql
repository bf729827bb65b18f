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

-- They run queries of the caller's, which need not be fit for a parallel operation.
ALTER FUNCTION ecommerce_ml.evaluate_model(text, regclass, name, name) PARALLEL UNSAFE;
ALTER FUNCTION ecommerce_ml.confusion_matrix(text, regclass, name, name) PARALLEL UNSAFE;
ALTER FUNCTION ecommerce_ml.evaluate_predictions(regclass, name, name) PARALLEL UNSAFE;

CREATE OR REPLACE VIEW ecommerce_ml.stat_engine AS
    SELECT CASE WHEN e IS NULL THEN 'stopped' WHEN e.build IS NULL THEN 'not responding' ELSE 'running' END AS state,
           e.*, now() - e.started AS uptime
    FROM (VALUES (1)) AS one LEFT JOIN ecommerce_ml.engine_stats() e ON true;
COMMENT ON COLUMN ecommerce_ml.stat_engine.state IS
    'running, stopped, or not responding: all is NULL then that only the engine knows';
