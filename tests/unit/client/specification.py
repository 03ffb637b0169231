"""The Python examples and the configuration file of the specification's page, to the letter."""

EXAMPLES = {
    "Basic Usage": """\
from unified_data_loader import UnifiedDataLoader
from memory_manager import MemoryManager
from performance_monitor import PerformanceMonitor

# Initialize components
data_loader = UnifiedDataLoader()
memory_manager = MemoryManager()
performance_monitor = PerformanceMonitor()

# Load data
data_30min = data_loader.load_data('30min')
data_5min = data_loader.load_data('5min')

# Store in shared memory
memory_manager.store_data('nq_30min', data_30min)
memory_manager.store_data('nq_5min', data_5min)

# Monitor performance
with PerformanceTimer(performance_monitor, 'processing_time'):
    # Your processing code here
    pass
""",
    "Advanced Usage with Coordination": """\
from data_flow_coordinator import DataFlowCoordinator, create_notebook_client
from scalability_manager import ScalabilityManager

# Set up coordination
coordinator = DataFlowCoordinator()
notebook_client = create_notebook_client('execution_engine', 'execution', coordinator)

# Set up scalability
scalability_manager = ScalabilityManager()
scalability_manager.initialize_system('multi_gpu')

# Create data stream
stream = notebook_client.create_data_stream(
    'market_data',
    DataStreamType.MARKET_DATA,
    ['risk_management']
)

# Process data with scaling
result = scalability_manager.process_large_dataset(
    data_tensor,
    processing_function,
    batch_size=2000
)
""",
    "Benchmarking Suite": """\
# Create benchmark suite
benchmark_suite = performance_monitor.create_benchmark_suite(data_loader)

# Run comprehensive benchmarks
loading_results = benchmark_suite.benchmark_loading_performance(['30min', '5min'])
chunked_results = benchmark_suite.benchmark_chunked_loading('30min', [1000, 5000, 10000])
caching_results = benchmark_suite.benchmark_caching_performance('30min')
""",
    "Multi-GPU Processing": """\
# Initialize multi-GPU processor
scalability_manager = ScalabilityManager()
scalability_manager.initialize_system('multi_gpu')

# Process data across multiple GPUs
result = scalability_manager.process_large_dataset(
    data_tensor,
    processing_function,
    batch_size=2000
)
""",
    "Distributed Processing": """\
# Set up distributed processing
os.environ['WORLD_SIZE'] = '4'
os.environ['MASTER_ADDR'] = 'localhost'
os.environ['MASTER_PORT'] = '12355'

# Initialize distributed system
scalability_manager.initialize_system('distributed')
""",
    "Auto-scaling": """\
# Enable auto-scaling
config = ScalingConfiguration(
    auto_scaling_enabled=True,
    scaling_thresholds={
        'cpu_usage': 0.8,
        'memory_usage': 0.8,
        'gpu_utilization': 0.8
    }
)
""",
    "Notebook Registration": """\
# Register notebooks with coordinator
execution_client = create_notebook_client('execution_engine', 'execution', coordinator)
risk_client = create_notebook_client('risk_management', 'risk', coordinator)
""",
    "Data Streams": """\
# Create data stream
stream = execution_client.create_data_stream(
    'market_data',
    DataStreamType.MARKET_DATA,
    ['risk_management']
)

# Publish data
stream.publish(data, metadata={'timestamp': time.time()})

# Consume data
messages = stream.get_messages(max_messages=10)
""",
    "Data Synchronization": """\
# Synchronize data between notebooks
success = execution_client.sync_data(
    'risk_management',
    'processed_features',
    feature_data
)
""",
    "Validation Scripts": """\
# Validate data integrity
from unified_data_loader import DataValidator

validator = DataValidator(config)
result = validator.validate_data(data, 'nq_30min')
print(f"Validation result: {result.is_valid}")
""",
    "Debug Mode": """\
# Enable debug logging
import logging
logging.basicConfig(level=logging.DEBUG)

# Enable performance profiling
config['development']['profiling']['enabled'] = True
""",
    "Example 1: Basic Data Loading": """\
# Load and process 30-minute data
data_loader = UnifiedDataLoader()
data_30min = data_loader.load_data('30min')
print(f"Loaded {len(data_30min)} rows")
""",
    "Example 2: Memory-Optimized Processing": """\
# Process large dataset with memory optimization
memory_manager = MemoryManager()
memory_manager.store_data('nq_data', data)

# Process in chunks
for chunk in data_loader.load_chunked_data('30min', chunk_size=5000):
    # Process chunk
    result = process_chunk(chunk)
    # Store result
    memory_manager.store_data(f'result_{chunk.index[0]}', result)
""",
    "Example 3: Real-time Stream Processing": """\
# Set up real-time stream
stream = execution_client.create_data_stream(
    'realtime_data',
    DataStreamType.MARKET_DATA,
    ['risk_management']
)

# Process stream in real-time
while True:
    messages = stream.get_messages(max_messages=100)
    for message in messages:
        # Process message
        result = process_message(message.data)
        # Send to output stream
        output_stream.publish(result)
""",
}
"""The examples by the heading above them."""

CONFIGURATION = """\
# Data Loading Configuration
data_loading:
  data_dir: "/home/QuantNova/GrandModel/colab/data/"
  chunk_size: 10000
  cache_enabled: true
  validation_enabled: true
  preprocessing_enabled: true

# Memory Management Configuration
memory_management:
  shared_pool_size_gb: 4.0
  enable_monitoring: true
  eviction_policy: "lru"

# Performance Monitoring
performance_monitoring:
  enable_dashboard: true
  max_history: 10000
  alert_thresholds:
    data_load_time: 10.0
    memory_usage: 0.9

# Scalability Configuration
scalability:
  max_workers: 8
  enable_gpu_acceleration: true
  auto_scaling:
    enabled: true
    thresholds:
      cpu_usage: 0.8
      memory_usage: 0.8
"""
