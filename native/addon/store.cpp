#include "classes.hpp"

namespace braid::addon {
namespace {

DType dtypeOf(const std::string& name) {
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::int32}) {
    if (name == nameOf(dtype)) return dtype;
  }
  throw std::invalid_argument("unknown dtype '" + name + "'.");
}

}  // namespace

Napi::ArrayBuffer share(Napi::Env env, std::byte* data, size_t bytes, std::shared_ptr<Memory> owner) {
  if (bytes == 0) return Napi::ArrayBuffer::New(env, 0);
  auto* held = new std::shared_ptr<Memory>(std::move(owner));
  return Napi::ArrayBuffer::New(
      env, data, bytes, [](Napi::Env, void*, std::shared_ptr<Memory>* memory) { delete memory; }, held);
}

Napi::FunctionReference StoreObject::define(Napi::Env env) {
  return Napi::Persistent(DefineClass(env, "Store",
                                      {InstanceMethod("tensor", &StoreObject::tensor),
                                       InstanceMethod("remove", &StoreObject::remove),
                                       InstanceMethod("clear", &StoreObject::clear),
                                       InstanceMethod("bytes", &StoreObject::bytes)}));
}

StoreObject::StoreObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<StoreObject>(info) {}

// tensor(key, dtype, shape) → ArrayBuffer. The caller keeps it: asking again makes another one of the same memory.
Napi::Value StoreObject::tensor(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    std::vector<int64_t> shape;
    const auto sizes = info[2].As<Napi::Array>();
    for (uint32_t i = 0; i < sizes.Length(); i++) shape.push_back(sizes.Get(i).ToNumber().Int64Value());
    const StoredTensor& tensor =
        store_.tensor(info[0].ToString(), dtypeOf(info[1].ToString()), shape);
    return share(info.Env(), tensor.memory->data(), tensor.bytes, tensor.memory);
  });
}

void StoreObject::remove(const Napi::CallbackInfo& info) { store_.remove(info[0].ToString()); }
void StoreObject::clear(const Napi::CallbackInfo&) { store_.clear(); }
Napi::Value StoreObject::bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(store_.bytes()));
}

}  // namespace braid::addon
