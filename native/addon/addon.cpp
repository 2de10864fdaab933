// The module: what this build can do, and the three classes.
#include "classes.hpp"

#include "../core/variants.hpp"

namespace braid::addon {
namespace {

Napi::Value inspect(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  for (const Variant& variant : variants()) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", variant.name);
    entry.Set("supported", variant.supported);
    list.Set(list.Length(), entry);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("variants", list);
  result.Set("compiler", BRAID_COMPILER);
  return result;
}

Napi::Value detach(const Napi::CallbackInfo& info) {
  info[0].As<Napi::ArrayBuffer>().Detach();
  return info.Env().Undefined();
}

Napi::Object start(Napi::Env env, Napi::Object exports) {
  auto* classes = new Classes{StoreObject::define(env), EngineObject::define(env), ProgramObject::define(env)};
  env.SetInstanceData(classes);
  exports.Set("Store", classes->store.Value());
  exports.Set("Engine", classes->engine.Value());
  exports.Set("inspect", Napi::Function::New(env, inspect, "inspect"));
  // Takes the memory away from an ArrayBuffer: its views have length 0 from then on.
  exports.Set("detach", Napi::Function::New(env, detach, "detach"));
  return exports;
}

}  // namespace
}  // namespace braid::addon

static Napi::Object startModule(Napi::Env env, Napi::Object exports) { return braid::addon::start(env, exports); }
NODE_API_MODULE(braid, startModule)
