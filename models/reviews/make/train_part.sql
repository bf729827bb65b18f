-- One part of train.sql: `part` is its number, `rate` its learning rate, `before` the model that it begins with.
SELECT ecommerce_ml.train_model('reviews_part_' || :'part', 'reviews_parts', 'text', 'stars', 'rating', :'before', jsonb_build_object(
    'where', format('split = ''valid'' OR part = %s', :'part'), 'deploy', 'always', 'eval_fraction', 0.05,
    'num_train_epochs', 1, 'per_device_train_batch_size', 32, 'max_length', 80,
    'learning_rate', :rate, 'warmup_ratio', 0.06, 'weight_decay', 0.01, 'hidden_dropout', 0,
    'metric_for_best_model', 'mae', 'seed', 20240511), time_column => 'day') AS job \gset
SELECT ecommerce_ml.wait_for_job(:job);
SELECT outcome, error, detail, ended - started AS duration FROM ecommerce_ml.jobs WHERE job = :job;
SELECT epoch, training_loss, loss, mae, best, seconds FROM ecommerce_ml.job_metrics WHERE job = :job ORDER BY epoch;
