-- Reads the server's log for scripts/test-sqlsmith.
-- Variables: log, the file in CSV format.
\set ON_ERROR_STOP on
CREATE TABLE log (
    log_time timestamp(3) with time zone, user_name text, database_name text, process_id integer, connection_from text,
    session_id text, session_line_num bigint, command_tag text, session_start_time timestamptz,
    virtual_transaction_id text, transaction_id bigint, error_severity text, sql_state_code text, message text,
    detail text, hint text, internal_query text, internal_query_pos integer, context text, query text,
    query_pos integer, location text, application_name text, backend_type text, leader_pid integer, query_id bigint
);
COPY log FROM :'log' WITH (FORMAT csv);

-- Messages with what varies in them taken out.
CREATE VIEW errors AS
SELECT *, left(regexp_replace(regexp_replace(message, '"[^"]*"', '"..."', 'g'), '0x[0-9a-f]+|\d+', 'N', 'g'), 100) AS class
FROM log
WHERE error_severity IN ('ERROR', 'FATAL', 'PANIC') AND user_name LIKE 'smith%';

-- One statement, the shortest, for each place that an internal error was raised at. A parallel worker's error is
-- raised in its leader too.
CREATE TABLE internal AS
SELECT row_number() OVER (ORDER BY count(*) DESC, location) AS number, location, class, count(*) AS times,
       (array_agg(user_name ORDER BY length(query)))[1] AS user_name,
       (array_agg(query ORDER BY length(query)))[1] AS query,
       coalesce(bool_or(location LIKE '%.rs:%' OR message ILIKE '%ecommerce_ml%' OR context ILIKE '%ecommerce_ml%'), false)
           AS ours
FROM errors
WHERE sql_state_code LIKE 'XX%' AND backend_type = 'client backend'
GROUP BY location, class;

CREATE VIEW crashes AS
SELECT log_time, message, detail FROM log
WHERE message ~ 'terminated by signal|terminated by exception' OR error_severity = 'PANIC';

-- An error on its way through code in Rust becomes a panic and an error again, and could tell users of that in DETAIL.
CREATE VIEW traced AS
SELECT class, count(*) AS times, min(detail) AS detail FROM errors WHERE detail ~ '\.rs:\d+' GROUP BY class;
