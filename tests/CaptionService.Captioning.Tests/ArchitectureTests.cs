using Mono.Cecil;
using Mono.Cecil.Rocks;
using Xunit;

namespace CaptionService.Captioning.Tests;

/// <summary>Which folder of the room names types of which other, as compiled (constants leave no trace there).</summary>
public sealed class ArchitectureTests
{
    private const string Room = "CaptionService.Captioning", Elsewhere = "elsewhere";

    /// <summary>Every arrow there is. A folder names only folders that stand above it, so that there is no way round.</summary>
    private static readonly (string Folder, string[] Names)[] s_allowed =
    [
        ("Torch", []),
        ("Files", []),
        ("Language", []),
        ("Metrics", []),
        ("Encoders", ["Files", "Torch"]),
        ("Decoders", ["Files", "Torch"]),
        ("Search", ["Language"]),
        ("Ranking", ["Decoders", "Files", "Language", "Metrics", "Search", "Torch"]),
        ("Confidence", ["Decoders", "Files", "Ranking", "Search"]),
        ("Models", ["Confidence", "Decoders", "Encoders", "Files", "Language", "Ranking", "Torch"]),
        ("Jobs", ["Models", "Search"]),
        ("", ["Confidence", "Decoders", "Encoders", "Files", "Language", "Models", "Ranking", "Search", "Torch"]),
    ];

    [Fact]
    public void Folders_name_each_other_as_the_table_says()
    {
        string[] expected = [.. s_allowed.SelectMany(row => row.Names.Select(name => $"{row.Folder} -> {name}")).Order(StringComparer.Ordinal)];
        Assert.Equal(expected, Arrows());
    }

    [Fact]
    public void No_folder_names_one_below_it()
    {
        string[] order = [.. s_allowed.Select(row => row.Folder)];
        Assert.All(s_allowed, row => Assert.All(row.Names, name => Assert.True(Array.IndexOf(order, name) < Array.IndexOf(order, row.Folder), $"{row.Folder} -> {name}")));
        Assert.Equal(order.Order(StringComparer.Ordinal), Types().Select(Folder).Distinct().Order(StringComparer.Ordinal));
    }

    private static string[] Arrows() =>
        [.. Types().SelectMany(type => Named(type).Select(other => (From: Folder(type), To: Folder(other)))).Where(arrow => arrow.From != arrow.To).Select(arrow => $"{arrow.From} -> {arrow.To}").Distinct().Order(StringComparer.Ordinal)];

    // Bodies are read when they are asked for, so the assembly stays open.
    private static IEnumerable<TypeDefinition> Types() =>
        AssemblyDefinition.ReadAssembly(typeof(Captioner).Assembly.Location, new ReaderParameters { InMemory = true }).MainModule.GetAllTypes().Where(type => Folder(type) != Elsewhere);

    /// <summary>The room's types that a type names: in its declaration, in its members and in their code.</summary>
    private static IEnumerable<TypeReference> Named(TypeDefinition type)
    {
        IEnumerable<TypeReference?> named =
        [
            type.BaseType, .. type.Interfaces.Select(i => i.InterfaceType), .. type.Fields.Select(field => field.FieldType), .. type.CustomAttributes.Select(a => a.AttributeType),
            .. type.GenericParameters.SelectMany(p => p.Constraints.Select(c => c.ConstraintType)), .. type.Methods.SelectMany(Named),
        ];
        return named.SelectMany(Parts).Where(other => Folder(other) != Elsewhere);
    }

    private static IEnumerable<TypeReference?> Named(MethodDefinition method) =>
    [
        method.ReturnType, .. method.Parameters.Select(p => p.ParameterType),
        .. !method.HasBody ? [] : method.Body.Variables.Select(v => v.VariableType).Concat(method.Body.ExceptionHandlers.Select(h => h.CatchType)).Concat(method.Body.Instructions.SelectMany(at => Named(at.Operand))),
    ];

    private static IEnumerable<TypeReference?> Named(object? operand) => operand switch
    {
        TypeReference type => [type],
        GenericInstanceMethod method => [method.DeclaringType, .. method.GenericArguments],
        MethodReference method => [method.DeclaringType],
        FieldReference field => [field.DeclaringType],
        _ => [],
    };

    // A type with its element type and arguments.
    private static IEnumerable<TypeReference> Parts(TypeReference? type) => type switch
    {
        null => [],
        GenericInstanceType generic => [generic.ElementType, .. generic.GenericArguments.SelectMany(Parts)],
        TypeSpecification of => Parts(of.ElementType),
        _ => [type],
    };

    /// <summary>The folder of a type by its namespace: "" for the room itself, "elsewhere" for types of other assemblies and of the compiler.</summary>
    private static string Folder(TypeReference type)
    {
        while (type.DeclaringType is not null)
            type = type.DeclaringType;
        return type.Namespace == Room ? "" : type.Namespace.StartsWith(Room + ".", StringComparison.Ordinal) ? type.Namespace[(Room.Length + 1)..] : Elsewhere;
    }
}
