#include "ort.h"

#include <dlfcn.h>

#include <cstdio>
#include <numeric>

namespace fadecast {

// The interface is a table of functions to which versions only ever append. What is not used here
// is skipped by its count. See OrtApi in onnxruntime_c_api.h; a status is null on success.
struct OrtTable {
  using Skip = void*;
  using Status = void*;
  Skip skipped0[2];
  const char* (*error_message)(Status);
  Status (*create_env)(int severity, const char* name, void** out);
  Skip skipped4[4];
  Status (*create_session)(const void* env, const void* model, std::size_t size,
                           const void* options, void** out);
  Status (*run)(void* session, const void* options, const char* const* input_names,
                const void* const* inputs, std::size_t input_count,
                const char* const* output_names, std::size_t output_count, void** outputs);
  Status (*create_options)(void** out);
  Skip skipped11[6];
  Status (*disable_pattern)(void* options);
  Skip skipped18[4];
  Status (*set_severity)(void* options, int severity);
  Skip skipped23;
  Status (*set_intra_threads)(void* options, int count);
  Status (*set_inter_threads)(void* options, int count);
  Skip skipped26[23];
  Status (*create_tensor)(const void* memory, void* data, std::size_t bytes,
                          const std::int64_t* shape, std::size_t axes, int type, void** out);
  Skip skipped50[19];
  Status (*create_cpu_memory)(int allocator, int kind, void** out);
  Skip skipped70[22];
  void (*release_env)(void*);
  void (*release_status)(void*);
  void (*release_memory)(void*);
  void (*release_session)(void*);
  void (*release_value)(void*);
  Skip skipped97[3];
  void (*release_options)(void*);
};

namespace {

constexpr std::uint32_t kInterface = 15;  // of onnxruntime 1.15
constexpr int kFatal = 4, kFloat = 1, kArena = 1, kDefault = 0;

struct Base {
  const OrtTable* (*get)(std::uint32_t version);
  const char* (*version)();
};

}  // namespace

Tensor::Tensor(std::vector<std::int64_t> shape_)
    : shape(std::move(shape_)),
      data(static_cast<std::size_t>(std::accumulate(shape.begin(), shape.end(), std::int64_t{1},
                                                    std::multiplies<std::int64_t>()))) {}

Runtime::Runtime(const std::string& library) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw Error(kNoRuntime, std::string("onnxruntime: ") + dlerror());
  using Get = const Base* (*)();
  const auto get = reinterpret_cast<Get>(dlsym(handle, "OrtGetApiBase"));
  if (get == nullptr) throw Error(kNoRuntime, library + " is no onnxruntime");
  const Base* base = get();
  version_ = base->version();
  table_ = base->get(kInterface);
  if (table_ == nullptr) throw Error(kNoRuntime, "onnxruntime " + version_ + " is older than 1.15");
  check(table_->create_env(kFatal, "fadecast", &env_));
}

Runtime::~Runtime() { table_->release_env(env_); }  // the library stays loaded

void Runtime::check(void* status) const {
  if (status == nullptr) return;
  const std::string message = table_->error_message(status);
  table_->release_status(status);
  throw Error(kRefused, "onnxruntime " + version_ + ": " + message);
}

Graph::Graph(const Runtime& runtime, const Bytes& model, std::vector<std::string> inputs,
             std::vector<std::string> outputs)
    : runtime_(runtime), inputs_(std::move(inputs)), outputs_(std::move(outputs)) {
  const OrtTable& ort = *runtime.table_;
  void* options = nullptr;
  runtime.check(ort.create_options(&options));
  runtime.check(ort.set_severity(options, kFatal));
  // Before 1.19 a memory pattern learnt from calls of one length spoils a call of another.
  int minor = 0;
  if (std::sscanf(runtime.version_.c_str(), "1.%d", &minor) == 1 && minor < 19)
    runtime.check(ort.disable_pattern(options));
  runtime.check(ort.set_intra_threads(options, 1));
  runtime.check(ort.set_inter_threads(options, 1));
  void* status = ort.create_session(runtime.env_, model.data(), model.size(), options, &session_);
  ort.release_options(options);
  runtime.check(status);
  runtime.check(ort.create_cpu_memory(kArena, kDefault, &memory_));
}

Graph::~Graph() {
  runtime_.table_->release_memory(memory_);
  runtime_.table_->release_session(session_);
}

void Graph::run(const std::vector<Tensor*>& inputs, const std::vector<Tensor*>& outputs) const {
  const OrtTable& ort = *runtime_.table_;
  std::vector<const char*> names[2];
  std::vector<void*> values[2];
  void* status = nullptr;
  for (int way = 0; way < 2; ++way) {
    for (const std::string& name : way == 0 ? inputs_ : outputs_) names[way].push_back(name.c_str());
    for (Tensor* tensor : way == 0 ? inputs : outputs) {
      values[way].push_back(nullptr);
      if (status == nullptr)
        status = ort.create_tensor(memory_, tensor->data.data(), tensor->data.size() * sizeof(float),
                                   tensor->shape.data(), tensor->shape.size(), kFloat,
                                   &values[way].back());
    }
  }
  if (status == nullptr)
    status = ort.run(session_, nullptr, names[0].data(), values[0].data(), names[0].size(),
                     names[1].data(), names[1].size(), values[1].data());
  for (auto& group : values)
    for (void* value : group)
      if (value != nullptr) ort.release_value(value);
  runtime_.check(status);
}

}  // namespace fadecast
