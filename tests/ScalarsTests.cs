using Mono.Cecil;
using Mono.Cecil.Cil;
using TorchSharp;

namespace CaptionService.Tests;

/// <summary>
/// TorchSharp passes a Scalar by its address and does not keep it alive while libtorch reads it: one that no variable holds may be
/// finalized in the middle. It happens once in some thousand runs and ends the process, so the compiled code is read instead.
/// </summary>
public sealed class ScalarsTests
{
    private static readonly Dictionary<string, MethodDefinition> s_torchSharp = Methods(typeof(Scalar).Assembly.Location, symbols: false)
        .GroupBy(m => m.FullName).ToDictionary(same => same.Key, same => same.First());
    private static readonly HashSet<string> s_makers = Makers();

    [Xunit.Fact]
    public void No_number_is_given_to_libtorch_that_can_be_collected_meanwhile()
    {
        string[] ours = Directory.GetFiles(AppContext.BaseDirectory, "CaptionService.*.dll");
        Xunit.Assert.Contains(ours, file => Path.GetFileName(file) == "CaptionService.Captioning.dll");
        string[] unkept = [.. ours.SelectMany(file => Methods(file, symbols: true)).Where(m => m.DeclaringType.Name != nameof(Careless)).SelectMany(Unkept)];
        Xunit.Assert.True(unkept.Length == 0, "Use TensorArithmetic, or a Scalar in a using variable, for\n" + string.Join('\n', unkept));
    }

    [Xunit.Theory]
    [Xunit.InlineData(nameof(Careless.Implicit), 1)]
    [Xunit.InlineData(nameof(Careless.OfTorchSharp), 1)]
    [Xunit.InlineData(nameof(Careless.Operator), 1)]
    [Xunit.InlineData(nameof(Careless.Forgotten), 1)]
    [Xunit.InlineData(nameof(Careless.Kept), 0)]
    public void One_that_could_be_is_found(string method, int count) =>
        Xunit.Assert.Equal(count, Unkept(Methods(typeof(Careless).Assembly.Location, symbols: true).Single(m => m.DeclaringType.Name == nameof(Careless) && m.Name == method)).Count());

    private static class Careless
    {
        public static torch.Tensor Implicit(torch.Tensor x) => x.mul(2);
        public static torch.Tensor OfTorchSharp(torch.Tensor x) => x.square();
        public static torch.Tensor Operator(torch.Tensor x) => x + x;

        public static torch.Tensor Forgotten(torch.Tensor x)
        {
            Scalar two = 2;
            return x.mul(two).mul(two);
        }

        public static torch.Tensor Kept(torch.Tensor x)
        {
            using Scalar two = 2;
            return x.mul(two);
        }
    }

    /// <summary>Calls in a method that make a Scalar that nothing keeps, and calls of TorchSharp's methods that do.</summary>
    private static IEnumerable<string> Unkept(MethodDefinition method)
    {
        SequencePoint? line = null;
        foreach (var at in method.Body.Instructions)
        {
            line = method.DebugInformation.GetSequencePoint(at) is { IsHidden: false } point ? point : line;
            if (Called(at) is { } called && (Makes(called) ? !IsKept(at.Next, method) : s_makers.Contains(called.FullName)))
                yield return $"{Path.GetFileName(line?.Document.Url)}:{line?.StartLine} {called.FullName}";
        }
    }

    /// <summary>TorchSharp's methods that make a Scalar of their own, or call one that does.</summary>
    private static HashSet<string> Makers()
    {
        var calls = s_torchSharp.Where(m => m.Value.DeclaringType.Name is not (nameof(Scalar) or nameof(ScalarExtensionMethods)))
            .ToDictionary(m => m.Key, m => m.Value.Body.Instructions.Select(Called).OfType<MethodReference>().ToArray());
        var makers = calls.Where(m => m.Value.Any(Makes)).Select(m => m.Key).ToHashSet();
        while (calls.Where(m => !makers.Contains(m.Key) && m.Value.Any(called => makers.Contains(called.FullName))).Select(m => m.Key).ToArray() is { Length: > 0 } more)
            makers.UnionWith(more);
        // Makes one of an argument that is a long, float or double; the fused kernel's are tensors and ints.
        makers.RemoveWhere(name => name.Contains("ScriptModule::invoke", StringComparison.Ordinal));
        return makers;
    }

    private static IEnumerable<MethodDefinition> Methods(string file, bool symbols)
    {
        using var assembly = AssemblyDefinition.ReadAssembly(file, new ReaderParameters { ReadSymbols = symbols && File.Exists(Path.ChangeExtension(file, "pdb")), InMemory = true });
        return [.. assembly.MainModule.GetTypes().SelectMany(type => type.Methods).Where(m => m.HasBody && m.Body.Instructions.Count > 0)];
    }

    private static MethodReference? Called(Instruction? at) => at?.OpCode.Code is Code.Call or Code.Callvirt or Code.Newobj ? ((MethodReference)at!.Operand).GetElementMethod() : null;

    private static bool Makes(MethodReference method) =>
        method.Name == "ToScalar" || (method.Name == "op_Implicit" && method.DeclaringType.FullName == typeof(Scalar).FullName);

    // In a field, or in a variable that is disposed of: any other may be collected after its last use.
    private static bool IsKept(Instruction? into, MethodDefinition method) => into?.OpCode.Code is Code.Stfld or Code.Stsfld
        || (Variable(into) is { } kept && method.Body.Instructions.Any(at => at != into && Variable(at) == kept && Called(at.Next) is { Name: nameof(IDisposable.Dispose) }));

    private static int? Variable(Instruction? at) => at?.OpCode.Code switch
    {
        >= Code.Stloc_0 and <= Code.Stloc_3 => at.OpCode.Code - Code.Stloc_0,
        >= Code.Ldloc_0 and <= Code.Ldloc_3 => at.OpCode.Code - Code.Ldloc_0,
        Code.Stloc or Code.Stloc_S or Code.Ldloc or Code.Ldloc_S => ((VariableDefinition)at.Operand).Index,
        _ => null,
    };
}
