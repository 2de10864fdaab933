#include "classes.hpp"

namespace braid::addon {

Napi::FunctionReference EngineObject::define(Napi::Env env) {
  return Napi::Persistent(DefineClass(env, "Engine",
                                      {InstanceMethod("load", &EngineObject::load),
                                       InstanceAccessor("isa", &EngineObject::isa, nullptr)}));
}

// new Engine(threads, isa): an empty isa means the best one.
EngineObject::EngineObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineObject>(info) {
  guarded(info.Env(), [&] {
    const Variant& variant = chooseVariant(info[1].ToString());
    isa_ = variant.name;
    kernels_ = variant.makeTable();
    pool_ = std::make_shared<ThreadPool>(info[0].ToNumber().Int32Value(), variant.tiles);
  });
}

Napi::Value EngineObject::isa(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), isa_); }

// load(json, store, { poison, guard }) → Program
Napi::Value EngineObject::load(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::string json = info[0].ToString();
    StoreObject* store = StoreObject::Unwrap(info[1].ToObject());
    const Napi::Object given = info[2].ToObject();
    const RunnerOptions options{given.Get("poison").ToBoolean(), given.Get("guard").ToBoolean()};
    auto runner = std::make_shared<Runner>(parseProgram(json, kernels_), store->store(), pool_, options);
    const Classes& classes = *info.Env().GetInstanceData<Classes>();
    return classes.program.New({Napi::External<std::shared_ptr<Runner>>::New(info.Env(), &runner)});
  });
}

}  // namespace braid::addon
