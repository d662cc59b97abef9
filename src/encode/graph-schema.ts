/**
 * The messages of a `GraphDef` and a `MetaGraphDef`, field by field, to print them: `<number> <name> <type>`. The generated
 * decoder does not know them, and would grow by half. A test holds this against TensorBoard's own descriptors.
 *
 * Source: tensorboard/compat/proto/{graph,meta_graph}.proto and what they import.
 */
export const MESSAGES: Readonly<Record<string, string>> = {
  "google.protobuf.Any": "1 type_url string; 2 value bytes",
  AssetFileDef: "1 tensor_info TensorInfo; 2 filename string",
  AttrValue:
    "1 list AttrValue.ListValue; 2 s bytes; 3 i int64; 4 f float; 5 b bool; 6 type DataType; 7 shape TensorShapeProto; 8 tensor TensorProto; 9 placeholder string; 10 func NameAttrList",
  "AttrValue.ListValue":
    "2 s bytes; 3 i int64; 4 f float; 5 b bool; 6 type DataType; 7 shape TensorShapeProto; 8 tensor TensorProto; 9 func NameAttrList",
  BoundedTensorSpecProto:
    "1 name string; 2 shape TensorShapeProto; 3 dtype DataType; 4 minimum TensorProto; 5 maximum TensorProto",
  CapturedTensor: "1 name string; 2 concrete_function string",
  CollectionDef:
    "1 node_list CollectionDef.NodeList; 2 bytes_list CollectionDef.BytesList; 3 int64_list CollectionDef.Int64List; 4 float_list CollectionDef.FloatList; 5 any_list CollectionDef.AnyList",
  "CollectionDef.AnyList": "1 value google.protobuf.Any",
  "CollectionDef.BytesList": "1 value bytes",
  "CollectionDef.FloatList": "1 value float",
  "CollectionDef.Int64List": "1 value int64",
  "CollectionDef.NodeList": "1 value string",
  DictValue: "1 fields DictValue.FieldsEntry",
  "DictValue.FieldsEntry": "1 key string; 2 value StructuredValue",
  FullTypeDef: "1 type_id FullTypeId; 2 args FullTypeDef; 3 s string; 4 i int64",
  FunctionDef:
    "1 signature OpDef; 3 node_def NodeDef; 4 ret FunctionDef.RetEntry; 5 attr FunctionDef.AttrEntry; 6 control_ret FunctionDef.ControlRetEntry; 7 arg_attr FunctionDef.ArgAttrEntry; 8 resource_arg_unique_id FunctionDef.ResourceArgUniqueIdEntry",
  "FunctionDef.ArgAttrEntry": "1 key uint32; 2 value FunctionDef.ArgAttrs",
  "FunctionDef.ArgAttrs": "1 attr FunctionDef.ArgAttrs.AttrEntry",
  "FunctionDef.ArgAttrs.AttrEntry": "1 key string; 2 value AttrValue",
  "FunctionDef.AttrEntry": "1 key string; 2 value AttrValue",
  "FunctionDef.ControlRetEntry": "1 key string; 2 value string",
  "FunctionDef.ResourceArgUniqueIdEntry": "1 key uint32; 2 value uint32",
  "FunctionDef.RetEntry": "1 key string; 2 value string",
  FunctionDefLibrary: "1 function FunctionDef; 2 gradient GradientDef; 3 registered_gradients RegisteredGradient",
  FunctionSpec:
    "1 fullargspec StructuredValue; 2 is_method bool; 5 input_signature StructuredValue; 6 jit_compile FunctionSpec.JitCompile",
  GradientDef: "1 function_name string; 2 gradient_func string",
  GraphDebugInfo:
    "1 files string; 2 traces GraphDebugInfo.TracesEntry; 4 frames_by_id GraphDebugInfo.FramesByIdEntry; 5 name_to_trace_id GraphDebugInfo.NameToTraceIdEntry; 6 traces_by_id GraphDebugInfo.TracesByIdEntry",
  "GraphDebugInfo.FileLineCol": "1 file_index int32; 2 line int32; 3 col int32; 4 func string; 5 code string",
  "GraphDebugInfo.FramesByIdEntry": "1 key fixed64; 2 value GraphDebugInfo.FileLineCol",
  "GraphDebugInfo.NameToTraceIdEntry": "1 key string; 2 value fixed64",
  "GraphDebugInfo.StackTrace": "1 file_line_cols GraphDebugInfo.FileLineCol; 2 frame_id fixed64",
  "GraphDebugInfo.TracesByIdEntry": "1 key fixed64; 2 value GraphDebugInfo.StackTrace",
  "GraphDebugInfo.TracesEntry": "1 key string; 2 value GraphDebugInfo.StackTrace",
  GraphDef:
    "1 node NodeDef; 2 library FunctionDefLibrary; 3 version int32; 4 versions VersionDef; 5 debug_info GraphDebugInfo",
  ListValue: "1 values StructuredValue",
  MetaGraphDef:
    "1 meta_info_def MetaGraphDef.MetaInfoDef; 2 graph_def GraphDef; 3 saver_def SaverDef; 4 collection_def MetaGraphDef.CollectionDefEntry; 5 signature_def MetaGraphDef.SignatureDefEntry; 6 asset_file_def AssetFileDef; 7 object_graph_def SavedObjectGraph",
  "MetaGraphDef.CollectionDefEntry": "1 key string; 2 value CollectionDef",
  "MetaGraphDef.MetaInfoDef":
    "1 meta_graph_version string; 2 stripped_op_list OpList; 3 any_info google.protobuf.Any; 4 tags string; 5 tensorflow_version string; 6 tensorflow_git_version string; 7 stripped_default_attrs bool; 8 function_aliases MetaGraphDef.MetaInfoDef.FunctionAliasesEntry",
  "MetaGraphDef.MetaInfoDef.FunctionAliasesEntry": "1 key string; 2 value string",
  "MetaGraphDef.SignatureDefEntry": "1 key string; 2 value SignatureDef",
  NameAttrList: "1 name string; 2 attr NameAttrList.AttrEntry",
  "NameAttrList.AttrEntry": "1 key string; 2 value AttrValue",
  NamedTupleValue: "1 name string; 2 values PairValue",
  NodeDef:
    "1 name string; 2 op string; 3 input string; 4 device string; 5 attr NodeDef.AttrEntry; 6 experimental_debug_info NodeDef.ExperimentalDebugInfo; 7 experimental_type FullTypeDef",
  "NodeDef.AttrEntry": "1 key string; 2 value AttrValue",
  "NodeDef.ExperimentalDebugInfo": "1 original_node_names string; 2 original_func_names string",
  NoneValue: "",
  OpDef:
    "1 name string; 2 input_arg OpDef.ArgDef; 3 output_arg OpDef.ArgDef; 4 attr OpDef.AttrDef; 5 summary string; 6 description string; 8 deprecation OpDeprecation; 16 is_aggregate bool; 17 is_stateful bool; 18 is_commutative bool; 19 allows_uninitialized_input bool; 20 control_output string; 21 is_distributed_communication bool",
  "OpDef.ArgDef":
    "1 name string; 2 description string; 3 type DataType; 4 type_attr string; 5 number_attr string; 6 type_list_attr string; 7 handle_data ResourceHandleProto.DtypeAndShape; 16 is_ref bool; 17 experimental_full_type FullTypeDef",
  "OpDef.AttrDef":
    "1 name string; 2 type string; 3 default_value AttrValue; 4 description string; 5 has_minimum bool; 6 minimum int64; 7 allowed_values AttrValue",
  OpDeprecation: "1 version int32; 2 explanation string",
  OpList: "1 op OpDef",
  PairValue: "1 key string; 2 value StructuredValue",
  RegisteredGradient: "1 gradient_func string; 2 registered_op_type string",
  ResourceHandleProto:
    "1 device string; 2 container string; 3 name string; 4 hash_code uint64; 5 maybe_type_name string; 6 dtypes_and_shapes ResourceHandleProto.DtypeAndShape",
  "ResourceHandleProto.DtypeAndShape": "1 dtype DataType; 2 shape TensorShapeProto",
  SaveableObject: "2 save_function int32; 3 restore_function int32",
  SavedAsset: "1 asset_file_def_index int32",
  SavedBareConcreteFunction:
    "1 concrete_function_name string; 2 argument_keywords string; 3 allowed_positional_arguments int64; 4 function_spec FunctionSpec",
  SavedConcreteFunction:
    "2 bound_inputs int32; 3 canonicalized_input_signature StructuredValue; 4 output_signature StructuredValue",
  SavedConstant: "1 operation string",
  SavedFunction: "1 concrete_functions string; 2 function_spec FunctionSpec",
  SavedObject:
    "1 children TrackableObjectGraph.TrackableObject.ObjectReference; 3 slot_variables TrackableObjectGraph.TrackableObject.SlotVariableReference; 4 user_object SavedUserObject; 5 asset SavedAsset; 6 function SavedFunction; 7 variable SavedVariable; 8 bare_concrete_function SavedBareConcreteFunction; 9 constant SavedConstant; 10 resource SavedResource; 11 saveable_objects SavedObject.SaveableObjectsEntry; 12 captured_tensor CapturedTensor; 13 registered_name string; 14 serialized_user_proto google.protobuf.Any; 15 dependencies TrackableObjectGraph.TrackableObject.ObjectReference; 16 registered_saver string",
  "SavedObject.SaveableObjectsEntry": "1 key string; 2 value SaveableObject",
  SavedObjectGraph: "1 nodes SavedObject; 2 concrete_functions SavedObjectGraph.ConcreteFunctionsEntry",
  "SavedObjectGraph.ConcreteFunctionsEntry": "1 key string; 2 value SavedConcreteFunction",
  SavedResource: "1 device string",
  SavedUserObject: "1 identifier string; 2 version VersionDef; 3 metadata string",
  SavedVariable:
    "1 dtype DataType; 2 shape TensorShapeProto; 3 trainable bool; 4 synchronization VariableSynchronization; 5 aggregation VariableAggregation; 6 name string; 7 device string; 8 experimental_distributed_variable_components SavedVariable",
  SaverDef:
    "1 filename_tensor_name string; 2 save_tensor_name string; 3 restore_op_name string; 4 max_to_keep int32; 5 sharded bool; 6 keep_checkpoint_every_n_hours float; 7 version SaverDef.CheckpointFormatVersion",
  SignatureDef:
    "1 inputs SignatureDef.InputsEntry; 2 outputs SignatureDef.OutputsEntry; 3 method_name string; 4 defaults SignatureDef.DefaultsEntry",
  "SignatureDef.DefaultsEntry": "1 key string; 2 value TensorProto",
  "SignatureDef.InputsEntry": "1 key string; 2 value TensorInfo",
  "SignatureDef.OutputsEntry": "1 key string; 2 value TensorInfo",
  StructuredValue:
    "1 none_value NoneValue; 11 float64_value double; 12 int64_value sint64; 13 string_value string; 14 bool_value bool; 31 tensor_shape_value TensorShapeProto; 32 tensor_dtype_value DataType; 33 tensor_spec_value TensorSpecProto; 34 type_spec_value TypeSpecProto; 35 bounded_tensor_spec_value BoundedTensorSpecProto; 51 list_value ListValue; 52 tuple_value TupleValue; 53 dict_value DictValue; 54 named_tuple_value NamedTupleValue; 55 tensor_value TensorProto; 56 numpy_value TensorProto",
  TensorInfo:
    "1 name string; 2 dtype DataType; 3 tensor_shape TensorShapeProto; 4 coo_sparse TensorInfo.CooSparse; 5 composite_tensor TensorInfo.CompositeTensor",
  "TensorInfo.CompositeTensor": "1 type_spec TypeSpecProto; 2 components TensorInfo",
  "TensorInfo.CooSparse": "1 values_tensor_name string; 2 indices_tensor_name string; 3 dense_shape_tensor_name string",
  TensorProto:
    "1 dtype DataType; 2 tensor_shape TensorShapeProto; 3 version_number int32; 4 tensor_content bytes; 5 float_val float; 6 double_val double; 7 int_val int32; 8 string_val bytes; 9 scomplex_val float; 10 int64_val int64; 11 bool_val bool; 12 dcomplex_val double; 13 half_val int32; 14 resource_handle_val ResourceHandleProto; 15 variant_val VariantTensorDataProto; 16 uint32_val uint32; 17 uint64_val uint64; 18 float8_val bytes",
  TensorShapeProto: "2 dim TensorShapeProto.Dim; 3 unknown_rank bool",
  "TensorShapeProto.Dim": "1 size int64; 2 name string",
  TensorSpecProto: "1 name string; 2 shape TensorShapeProto; 3 dtype DataType",
  "TrackableObjectGraph.TrackableObject.ObjectReference": "1 node_id int32; 2 local_name string",
  "TrackableObjectGraph.TrackableObject.SlotVariableReference":
    "1 original_variable_node_id int32; 2 slot_name string; 3 slot_variable_node_id int32",
  TupleValue: "1 values StructuredValue",
  TypeSpecProto:
    "1 type_spec_class TypeSpecProto.TypeSpecClass; 2 type_state StructuredValue; 3 type_spec_class_name string; 4 num_flat_components int32",
  VariantTensorDataProto: "1 type_name string; 2 metadata bytes; 3 tensors TensorProto",
  VersionDef: "1 producer int32; 2 min_consumer int32; 3 bad_consumers int32",
};

/** The enums: `<number> <name>`. */
export const ENUMS: Readonly<Record<string, string>> = {
  DataType:
    "0 DT_INVALID; 1 DT_FLOAT; 2 DT_DOUBLE; 3 DT_INT32; 4 DT_UINT8; 5 DT_INT16; 6 DT_INT8; 7 DT_STRING; 8 DT_COMPLEX64; 9 DT_INT64; 10 DT_BOOL; 11 DT_QINT8; 12 DT_QUINT8; 13 DT_QINT32; 14 DT_BFLOAT16; 15 DT_QINT16; 16 DT_QUINT16; 17 DT_UINT16; 18 DT_COMPLEX128; 19 DT_HALF; 20 DT_RESOURCE; 21 DT_VARIANT; 22 DT_UINT32; 23 DT_UINT64; 24 DT_FLOAT8_E5M2; 25 DT_FLOAT8_E4M3FN; 26 DT_FLOAT8_E4M3FNUZ; 27 DT_FLOAT8_E4M3B11FNUZ; 28 DT_FLOAT8_E5M2FNUZ; 29 DT_INT4; 30 DT_UINT4; 31 DT_INT2; 32 DT_UINT2; 33 DT_FLOAT4_E2M1FN; 101 DT_FLOAT_REF; 102 DT_DOUBLE_REF; 103 DT_INT32_REF; 104 DT_UINT8_REF; 105 DT_INT16_REF; 106 DT_INT8_REF; 107 DT_STRING_REF; 108 DT_COMPLEX64_REF; 109 DT_INT64_REF; 110 DT_BOOL_REF; 111 DT_QINT8_REF; 112 DT_QUINT8_REF; 113 DT_QINT32_REF; 114 DT_BFLOAT16_REF; 115 DT_QINT16_REF; 116 DT_QUINT16_REF; 117 DT_UINT16_REF; 118 DT_COMPLEX128_REF; 119 DT_HALF_REF; 120 DT_RESOURCE_REF; 121 DT_VARIANT_REF; 122 DT_UINT32_REF; 123 DT_UINT64_REF; 124 DT_FLOAT8_E5M2_REF; 125 DT_FLOAT8_E4M3FN_REF; 126 DT_FLOAT8_E4M3FNUZ_REF; 127 DT_FLOAT8_E4M3B11FNUZ_REF; 128 DT_FLOAT8_E5M2FNUZ_REF; 129 DT_INT4_REF; 130 DT_UINT4_REF; 131 DT_INT2_REF; 132 DT_UINT2_REF; 133 DT_FLOAT4_E2M1FN_REF",
  FullTypeId:
    "0 TFT_UNSET; 1 TFT_VAR; 2 TFT_ANY; 3 TFT_PRODUCT; 4 TFT_NAMED; 20 TFT_FOR_EACH; 100 TFT_CALLABLE; 200 TFT_BOOL; 201 TFT_UINT8; 202 TFT_UINT16; 203 TFT_UINT32; 204 TFT_UINT64; 205 TFT_INT8; 206 TFT_INT16; 207 TFT_INT32; 208 TFT_INT64; 209 TFT_HALF; 210 TFT_FLOAT; 211 TFT_DOUBLE; 212 TFT_COMPLEX64; 213 TFT_COMPLEX128; 214 TFT_STRING; 215 TFT_BFLOAT16; 1000 TFT_TENSOR; 1001 TFT_ARRAY; 1002 TFT_OPTIONAL; 1003 TFT_LITERAL; 1004 TFT_ENCODED; 1005 TFT_SHAPE_TENSOR; 10102 TFT_DATASET; 10103 TFT_RAGGED; 10104 TFT_ITERATOR; 10202 TFT_MUTEX_LOCK; 10203 TFT_LEGACY_VARIANT",
  "FunctionSpec.JitCompile": "0 DEFAULT; 1 ON; 2 OFF",
  "SaverDef.CheckpointFormatVersion": "0 LEGACY; 1 V1; 2 V2",
  "TypeSpecProto.TypeSpecClass":
    "0 UNKNOWN; 1 SPARSE_TENSOR_SPEC; 2 INDEXED_SLICES_SPEC; 3 RAGGED_TENSOR_SPEC; 4 TENSOR_ARRAY_SPEC; 5 DATA_DATASET_SPEC; 6 DATA_ITERATOR_SPEC; 7 OPTIONAL_SPEC; 8 PER_REPLICA_SPEC; 9 VARIABLE_SPEC; 10 ROW_PARTITION_SPEC; 12 REGISTERED_TYPE_SPEC; 13 EXTENSION_TYPE_SPEC",
  VariableAggregation:
    "0 VARIABLE_AGGREGATION_NONE; 1 VARIABLE_AGGREGATION_SUM; 2 VARIABLE_AGGREGATION_MEAN; 3 VARIABLE_AGGREGATION_ONLY_FIRST_REPLICA",
  VariableSynchronization:
    "0 VARIABLE_SYNCHRONIZATION_AUTO; 1 VARIABLE_SYNCHRONIZATION_NONE; 2 VARIABLE_SYNCHRONIZATION_ON_WRITE; 3 VARIABLE_SYNCHRONIZATION_ON_READ",
};
