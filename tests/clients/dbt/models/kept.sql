-- on_schema_change: without it dbt fills all columns of the table that is there, those that are kept too.
{{ config(materialized='incremental', unique_key='id', on_schema_change='append_new_columns',
          post_hook="SELECT ecommerce_ml.keep_column('{{ this }}', 'mood', 'ecommerce_ml.predict_sentiment_score(body)')") }}
SELECT id, body FROM {{ source('shop', 'feedback') }}
{% if is_incremental() %}
WHERE id > (SELECT coalesce(max(id), 0) FROM {{ this }})
{% endif %}
